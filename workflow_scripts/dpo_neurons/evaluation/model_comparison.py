"""Comparison of a study's models: neurons, groups, shares of the effect."""

from collections.abc import Sequence

import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, format_with_interval
from dpo_neurons.neurons.groups import REDUCING

COLUMNS = (
    "model", "quantity", "of", "kind", "control_of", "groups", "value", "low", "high",
    "corrected_for_selection",
)  # fmt: skip
"""A row a number: `of` is the group or the intervention that it belongs to, or empty.

kind, control_of and groups are those of the intervention. corrected_for_selection is yes for
cross-fitted sums of chosen neurons, no for those chosen and summed on the same prompts.
"""
TOTALS_COLUMNS = ("quantity", "value", "low", "high", "corrected_for_selection")
GROUP_QUANTITIES = {
    "share": "no", "reduction": "no", "crossfitted_share": "yes", "crossfitted_reduction": "yes",
}  # fmt: skip
"""What is listed of each group, and whether it is corrected for selection."""
GROUPS_COLUMNS = (
    "group",
    "neurons",
    *(f"{quantity}{end}" for quantity in GROUP_QUANTITIES for end in ("", "_low", "_high")),
)
TABLE_COLUMNS = (
    "intervention", "kind", "control_of", "groups", "effect_share", "effect_share_low",
    "effect_share_high",
)  # fmt: skip
SHOWN_KINDS = ("patch", "shift", "ablate")
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

    The quantities of totals; group_neurons, and group_… of GROUP_QUANTITIES; effect, by how much
    dpo lowers toxicity; effect_share of every other intervention.
    """
    parts = [totals.assign(of="")]
    for quantity, corrected in GROUP_QUANTITIES.items():
        names = {quantity: "value", f"{quantity}_low": "low", f"{quantity}_high": "high"}
        part = groups[["group", *names]].rename(columns=names | {"group": "of"})
        part = part.assign(quantity=f"group_{quantity}", corrected_for_selection=corrected)
        parts.append(part)
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
    texts = ("kind", "control_of", "groups", "corrected_for_selection")
    return comparison.fillna(dict.fromkeys(texts, ""))


def format_models(comparison: pd.DataFrame) -> pd.DataFrame:
    """Format the comparison for reading, one column for each model.

    The first rows are laid out as in the published comparison of models, percentages rounded; they
    choose and sum neurons on the same prompts. Cross-fitted sums and shares follow.
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

    def crossfitted(group: str) -> str:
        return percent("group_crossfitted_share", group)

    def all_groups(quantity: str, written: str, scale: float = 1) -> str:
        return " / ".join(written.format(scale * values[quantity, group]) for group in REDUCING)

    groups = " / ".join(REDUCING)
    sums = [values[quantity, ""] for quantity in ("positive_reduction", "net_reduction")]
    return {
        "neurons": f"{values['neurons', '']:,.0f}",
        "sum of positive reductions / net (not corrected)": " / ".join(
            f"{one:.4g}" for one in sums
        ),
        f"share {groups}, % (not corrected)": all_groups("group_share", "{:.0f}", 100),
        f"counts {groups}": all_groups("group_neurons", "{:.0f}"),
        "neurons reducing, %": f"{100 * values['reducing', '']:.2f}",
        "m_pre > 0, %": f"{100 * values['active', '']:.2f}",
        "sum of positive reductions (cross-fitted)": _format_four_digits(
            numbers.loc["crossfitted_positive_reduction", ""]
        ),
        "net reduction": _format_four_digits(numbers.loc["net_reduction", ""]),
        **{f"share {group}, % (cross-fitted)": crossfitted(group) for group in REDUCING},
        "dpo's effect on toxicity": format_with_interval(*effect, 3),
        **{f"share of it: {name}, %": percent("effect_share", name) for name in interventions},
    }


def _format_four_digits(number: pd.Series) -> str:
    value, low, high = (f"{bound:.4g}" for bound in number)
    return f"{value} [{low}, {high}]"
