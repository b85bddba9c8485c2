"""Comparison of a study's models: neurons, groups, shares of the effect."""

from collections.abc import Sequence

import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, format_with_interval
from dpo_neurons.neurons.groups import REDUCING

COLUMNS = ("model", "quantity", "of", "kind", "control_of", "groups", "value", "low", "high")
"""Columns of the comparison, which has one row for each number.

`of` is the number's group or intervention, or empty. kind, control_of and groups describe the
intervention.
"""
TOTALS_COLUMNS = ("quantity", "value", "low", "high")
GROUPS_COLUMNS = (
    "group", "neurons", "reduction", "share", "share_low", "share_high", "reduction_low",
    "reduction_high",
)  # fmt: skip
TABLE_COLUMNS = (
    "intervention", "kind", "control_of", "groups", "effect_share", "effect_share_low",
    "effect_share_high",
)  # fmt: skip
SHOWN_KINDS = ("patch", "ablate")
"""Kinds of interventions whose shares the readable table shows."""
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
    """Return one model's rows of the comparison, from its tables.

    quantity is one of: the quantities of totals; group_neurons, group_share and group_reduction;
    effect, the fall of toxicity from none to dpo; effect_share, of every other intervention.
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
    interventions = table[~table["intervention"].isin([BEFORE, AFTER])]
    names = {"intervention": "of", "effect_share": "value"}
    names |= {f"effect_share_{end}": end for end in ("low", "high")}
    shares = interventions[list(TABLE_COLUMNS)].rename(columns=names)
    parts.append(shares.assign(quantity="effect_share"))
    comparison = pd.concat(parts, ignore_index=True).assign(model=model)[list(COLUMNS)]
    return comparison.fillna(dict.fromkeys(("kind", "control_of", "groups"), ""))


def format_models(comparison: pd.DataFrame) -> pd.DataFrame:
    """Format the comparison for reading, one column for each model.

    The first rows have the layout and rounding of the published comparison of models. Shares of
    the effect are those of interventions of SHOWN_KINDS.
    """
    shown_rows = comparison.loc[comparison["kind"].isin(SHOWN_KINDS), "of"].drop_duplicates()
    columns = {
        model: _format_model(rows, shown_rows.tolist())
        for model, rows in comparison.groupby("model", sort=False)
    }
    shown = pd.DataFrame(columns)
    return shown.rename_axis("").reset_index()


def _format_model(rows: pd.DataFrame, interventions: Sequence[str]) -> dict[str, str]:
    numbers = rows.set_index(["quantity", "of"])[["value", "low", "high"]]
    values = numbers["value"].to_dict()
    effect: tuple[float, float, float] = tuple(numbers.loc["effect", AFTER])

    def percent(quantity: str, of: str) -> str:
        value, low, high = 100 * numbers.loc[(quantity, of)]
        return format_with_interval(value, low, high, digits=1)

    def all_groups(quantity: str, written: str, scale: float = 1) -> str:
        return " / ".join(written.format(scale * values[quantity, group]) for group in REDUCING)

    groups = " / ".join(REDUCING)
    sums = [values[quantity, ""] for quantity in ("positive_reduction", "net_reduction")]
    return {
        "neurons": f"{values['neurons', '']:,.0f}",
        "sum of positive reductions / net": " / ".join(f"{total:.4g}" for total in sums),
        f"share {groups}, %": all_groups("group_share", "{:.0f}", 100),
        f"counts {groups}": all_groups("group_neurons", "{:.0f}"),
        "neurons reducing, %": f"{100 * values['reducing', '']:.2f}",
        "m_pre > 0, %": f"{100 * values['active', '']:.2f}",
        "sum of positive reductions": _format_four_digits(numbers.loc["positive_reduction", ""]),
        "net reduction": _format_four_digits(numbers.loc["net_reduction", ""]),
        **{f"share {group}, %": percent("group_share", group) for group in REDUCING},
        "dpo's effect on toxicity": format_with_interval(*effect, 3),
        **{f"share of it: {name}, %": percent("effect_share", name) for name in interventions},
    }


def _format_four_digits(number: pd.Series) -> str:
    value, low, high = (f"{bound:.4g}" for bound in number)
    return f"{value} [{low}, {high}]"
