"""All models of a study side by side: what their neurons do, and what toxic neurons explain."""

from collections.abc import Sequence

import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, with_interval
from dpo_neurons.neurons.groups import REDUCING

COLUMNS = ("model", "quantity", "of", "value", "low", "high")
"""A row a number: `of` is the group or the intervention that it belongs to, or empty."""
TOTALS_COLUMNS = ("quantity", "value", "low", "high")
GROUPS_COLUMNS = (
    "group", "neurons", "reduction", "share", "share_low", "share_high", "reduction_low",
    "reduction_high",
)  # fmt: skip
TABLE_COLUMNS = ("intervention", "effect_share", "effect_share_low", "effect_share_high")
TESTS_COLUMNS = (
    "intervention", "against", "toxicity_difference", "toxicity_difference_low",
    "toxicity_difference_high",
)  # fmt: skip


def model_rows(
    model: str,
    totals: pd.DataFrame,
    groups: pd.DataFrame,
    table: pd.DataFrame,
    tests: pd.DataFrame,
) -> pd.DataFrame:
    """One model's rows of the comparison, from its tables of those columns.

    The quantities of totals; group_neurons, group_share and group_reduction; effect, by how much
    dpo lowers toxicity; effect_share of every other intervention.
    """
    parts = [totals.assign(of="")]
    for quantity in ("share", "reduction"):
        names = {quantity: "value", f"{quantity}_low": "low", f"{quantity}_high": "high"}
        part = groups[["group", *names]].rename(columns=names | {"group": "of"})
        parts.append(part.assign(quantity=f"group_{quantity}"))
    counts = groups[["group", "neurons"]].rename(columns={"group": "of", "neurons": "value"})
    parts.append(counts.assign(quantity="group_neurons"))

    effect = tests[(tests["intervention"] == AFTER) & (tests["against"] == BEFORE)]
    turned = {"value": "", "low": "_high", "high": "_low"}
    parts.append(
        pd.DataFrame(
            {name: -effect[f"toxicity_difference{end}"] for name, end in turned.items()}
        ).assign(quantity="effect", of=AFTER)
    )
    others = table[~table["intervention"].isin([BEFORE, AFTER])]
    renamed = dict(zip(TABLE_COLUMNS, ("of", "value", "low", "high"), strict=True))
    parts.append(
        others[list(TABLE_COLUMNS)].rename(columns=renamed).assign(quantity="effect_share")
    )
    return pd.concat(parts, ignore_index=True).assign(model=model)[list(COLUMNS)]


def readable_comparison(comparison: pd.DataFrame, interventions: Sequence[str]) -> pd.DataFrame:
    """The comparison for reading, a column a model; shares of the effect of `interventions` alone.

    The first rows are laid out as in the published comparison of models, percentages rounded.
    """
    of_models = comparison.groupby("model", sort=False)
    columns = {model: _readable_model(rows, interventions) for model, rows in of_models}
    shown = pd.DataFrame(columns)
    return shown.rename_axis("").reset_index()


def _readable_model(rows: pd.DataFrame, interventions: Sequence[str]) -> dict[str, str]:
    numbers = rows.set_index(["quantity", "of"])[["value", "low", "high"]]
    values = numbers["value"].to_dict()

    def percent(quantity: str, of: str) -> str:
        return with_interval(*(100 * numbers.loc[(quantity, of)]), digits=1)

    def all_groups(quantity: str, written: str, scale: float = 1) -> str:
        return " / ".join(written.format(scale * values[quantity, group]) for group in REDUCING)

    groups = " / ".join(REDUCING)
    sums = [values[quantity, ""] for quantity in ("positive_reduction", "net_reduction")]
    return {
        "neurons": f"{values['neurons', '']:,.0f}",
        "sum of positive reductions / net": " / ".join(f"{one:.4g}" for one in sums),
        f"share {groups}, %": all_groups("group_share", "{:.0f}", 100),
        f"counts {groups}": all_groups("group_neurons", "{:.0f}"),
        "neurons reducing, %": f"{100 * values['reducing', '']:.2f}",
        "m_pre > 0, %": f"{100 * values['active', '']:.2f}",
        "sum of positive reductions": _four_digits(numbers.loc["positive_reduction", ""]),
        "net reduction": _four_digits(numbers.loc["net_reduction", ""]),
        **{f"share {group}, %": percent("group_share", group) for group in REDUCING},
        "dpo's effect on toxicity": with_interval(*numbers.loc["effect", AFTER], digits=3),
        **{f"share of it: {name}, %": percent("effect_share", name) for name in interventions},
    }


def _four_digits(number: pd.Series) -> str:
    value, low, high = (f"{one:.4g}" for one in number)
    return f"{value} [{low}, {high}]"
