"""Comparison of a study's models: neurons, groups, shares of the effect."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, format_with_interval
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.statistics.bootstrap import ENDS

COLUMNS = (
    "model", "quantity", "of", "kind", "control_of", "groups", "value", "low", "high",
    "corrected_for_selection", "verdict",
)  # fmt: skip
"""A row a number: `of` is the group or the intervention that it belongs to, or empty.

kind, control_of and groups are those of the intervention. corrected_for_selection is yes for
cross-fitted sums of chosen neurons, no for those chosen and summed on the same prompts. verdict is
that of the intervention.
"""
TOTALS_COLUMNS = ("quantity", "value", "low", "high", "corrected_for_selection")
GROUP_QUANTITIES = {
    "share": "no", "reduction": "no", "crossfitted_share": "yes", "crossfitted_reduction": "yes",
}  # fmt: skip
"""What is listed of each group, and whether it is corrected for selection."""
GROUPS_COLUMNS = (
    "group",
    "neurons",
    *(f"{quantity}{end}" for quantity in GROUP_QUANTITIES for end in ENDS),
)
TABLE_COLUMNS = (
    "intervention", "kind", "control_of", "groups", "toxicity", "effect_share", "effect_share_low",
    "effect_share_high",
)  # fmt: skip
SHOWN_KINDS = ("patch", "shift", "ablate")
"""Kinds of interventions whose shares the readable table shows."""
TESTS_COLUMNS = (
    "intervention", "against", "toxicity_difference", "toxicity_difference_low",
    "toxicity_difference_high",
)  # fmt: skip


RANDOM_SETS_COLUMNS = (
    "intervention", "random_toxicity", "random_toxicity_low", "random_toxicity_high", "p",
)  # fmt: skip
DIRECTIONS_COLUMNS = ("quantity", "random", "random_low", "random_high", "p")
STREAM_COLUMNS = ("text", "part", "share", "share_low", "share_high")
VERDICTS_COLUMNS = ("intervention", "verdict")


@dataclass(frozen=True)
class ModelTables:
    """The tables of one model."""

    totals: pd.DataFrame
    groups: pd.DataFrame
    table: pd.DataFrame
    """Of interventions."""
    tests: pd.DataFrame
    random_sets: pd.DataFrame
    random_directions: pd.DataFrame
    stream: pd.DataFrame
    """Of the shift of the residual stream, split by what wrote it."""
    verdicts: pd.DataFrame


def model_rows(model: str, tables: ModelTables) -> pd.DataFrame:
    """Return one model's rows of the comparison, from its tables.

    The quantities of totals; net_reduction_p, the rank of the net reduction among those along
    random directions; group_neurons, and group_… of GROUP_QUANTITIES; group_random_share, a group's
    mean share along random directions, and group_share_p, the share's rank among those; effect, by
    how much dpo lowers toxicity; stream_share, the neurons' part of the shift of the residual
    stream, on each model's own text and on the same text; effect_share of every other intervention;
    random_share, the same of its random sets of neurons, and random_p, its rank among them.
    """
    totals, groups, table, tests = tables.totals, tables.groups, tables.table, tables.tests
    rank = tables.random_directions.set_index("quantity").loc["net_reduction", "p"]
    parts = [
        totals.assign(of=""),
        pd.DataFrame({"quantity": ["net_reduction_p"], "of": "", "value": rank}),
        *_list_random_directions(tables.random_directions),
    ]
    for quantity, corrected in GROUP_QUANTITIES.items():
        names = {quantity: "value", f"{quantity}_low": "low", f"{quantity}_high": "high"}
        part = groups[["group", *names]].rename(columns=names | {"group": "of"})
        part = part.assign(quantity=f"group_{quantity}", corrected_for_selection=corrected)
        parts.append(part)
    stream = tables.stream[tables.stream["part"] == "neurons"]
    names = {"text": "of", "share": "value", "share_low": "low", "share_high": "high"}
    parts.append(stream[list(names)].rename(columns=names).assign(quantity="stream_share"))
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
    verdicts = tables.verdicts.rename(columns={"intervention": "of"})
    shares = shares.drop(columns="toxicity").merge(verdicts, on="of", how="left")
    parts.append(shares.assign(quantity="effect_share"))
    parts += _list_random_sets(tables.random_sets, table)
    comparison = pd.concat(parts, ignore_index=True).assign(model=model)[list(COLUMNS)]
    texts = ("kind", "control_of", "groups", "corrected_for_selection", "verdict")
    return comparison.fillna(dict.fromkeys(texts, ""))


def _list_random_directions(random_directions: pd.DataFrame) -> list[pd.DataFrame]:
    """List group_random_share and group_share_p of the four reducing groups."""
    rows = random_directions.set_index("quantity").loc[[f"share_{group}" for group in REDUCING]]
    rows = rows.reset_index(drop=True).assign(of=REDUCING)
    names = {"random": "value", "random_low": "low", "random_high": "high"}
    shares = rows[["of", *names]].rename(columns=names)
    return [
        shares.assign(quantity="group_random_share", corrected_for_selection="no"),
        rows[["of"]].assign(quantity="group_share_p", value=rows["p"]),
    ]


def _list_random_sets(random_sets: pd.DataFrame, table: pd.DataFrame) -> list[pd.DataFrame]:
    """List random_share and random_p of the rows that have random sets."""
    toxicity = table.set_index("intervention")["toxicity"]
    rows = table.set_index("intervention").loc[random_sets["intervention"]].reset_index()
    described = rows[["kind", "control_of", "groups"]].assign(of=rows["intervention"])
    ends = {"value": "", "low": "_high", "high": "_low"}
    effect = toxicity[BEFORE] - toxicity[AFTER]
    shares = {
        name: (toxicity[BEFORE] - random_sets[f"random_toxicity{end}"]) / effect
        for name, end in ends.items()
    }
    # Undefined where the row's own share is.
    defined = rows["effect_share"].notna()
    listed = described.assign(**shares).where(defined)
    return [
        listed.assign(of=described["of"], quantity="random_share"),
        described.assign(value=random_sets["p"], quantity="random_p"),
    ]


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
    verdicts = rows[rows["verdict"] != ""].set_index("of")["verdict"]
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
            f"{reduction:.4g}" for reduction in sums
        ),
        f"share {groups}, % (not corrected)": all_groups("group_share", "{:.0f}", 100),
        f"counts {groups}": all_groups("group_neurons", "{:.0f}"),
        "neurons reducing, %": f"{100 * values['reducing', '']:.2f}",
        "m_pre > 0, %": f"{100 * values['active', '']:.2f}",
        "sum of positive reductions (cross-fitted)": _format_four_digits(
            numbers.loc["crossfitted_positive_reduction", ""]
        ),
        "net reduction": _format_four_digits(numbers.loc["net_reduction", ""]),
        "its p among random directions": f"{values['net_reduction_p', '']:.3f}",
        f"mean share {groups} along random directions, %": all_groups(
            "group_random_share", "{:.0f}", 100
        ),
        f"p of the share {groups} among these": all_groups("group_share_p", "{:.3f}"),
        "neurons' share of the stream's shift, %": percent("stream_share", "own"),
        "the same on one text, %": percent("stream_share", "same"),
        **{f"share {group}, % (cross-fitted)": crossfitted(group) for group in REDUCING},
        "dpo's effect on toxicity": format_with_interval(*effect, 3),
        **{
            title: written
            for name in interventions
            for title, written in (
                (f"share of it: {name}, %", percent("effect_share", name)),
                (f"verdict: {name}", verdicts.get(name, "")),
            )
        },
    }


def _format_four_digits(number: pd.Series) -> str:
    value, low, high = (f"{bound:.4g}" for bound in number)
    return f"{value} [{low}, {high}]"
