"""Several seeds of one recipe: the spread of results over them, beside the interval over prompts.

An interval over prompts says what other prompts might give of this model. Another seed of the same
fine-tuning is another model, and only the spread over seeds says how far they differ.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, format_with_interval
from dpo_neurons.statistics.bootstrap import ENDS

OF_ROWS = ("toxicity", "perplexity", "effect_share")
"""What is compared of each intervention."""
ROWS_COLUMNS = (
    "intervention", "no_longer_writes", *(f"{name}{end}" for name in OF_ROWS for end in ENDS),
)  # fmt: skip
GROUPS_COLUMNS = (
    "group", "crossfitted_share", "crossfitted_share_low", "crossfitted_share_high",
)  # fmt: skip
DIFFERENCE = "toxicity_difference"
TESTS_COLUMNS = (
    "intervention", "against", "no_longer_writes", *(f"{DIFFERENCE}{end}" for end in ENDS),
)  # fmt: skip
COLUMNS = (
    "quantity", "of", "against", "value", "low", "high", "seeds", "mean", "deviation", "smallest",
    "largest", "same_sign", "by_seed",
)  # fmt: skip
"""`value`, `low` and `high` are of the recipe's own model, with its interval over prompts. `mean`,
`deviation` (of a sample), `smallest` and `largest` are over all seeds for which the quantity is
defined; `seeds` is their number, and `by_seed` has the numbers themselves, in the models' order.
`same_sign`, of a difference of two seeds or more: whether all are above 0, or all below."""
DIGITS = {
    "toxicity": 3, "perplexity": 2, "effect_share": 2, DIFFERENCE: 3, "crossfitted_share": 3,
}  # fmt: skip
YES, NO, NOT_ASKED = "yes", "no", ""


def tabulate_seeds(
    rows: Mapping[str, pd.DataFrame],
    tests: Mapping[str, pd.DataFrame],
    groups: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Tabulate results over seeds: the COLUMNS, a row a quantity of an intervention or a group.

    rows, tests, groups: each model's table of interventions, of paired tests and of groups, with
    ROWS_COLUMNS, TESTS_COLUMNS and GROUPS_COLUMNS; the recipe's own model comes first. Differences
    are those against none and against a row's control. A quantity that no model defines is left
    out. The toxicity of a row whose model no longer writes says nothing, and is not defined.
    """
    of_rows, of_tests, of_groups = {}, {}, {}
    for model, table in rows.items():
        of_rows[model] = _index(_leave_broken_out(table, "toxicity"), "intervention")
        pairs = _leave_broken_out(tests[model], DIFFERENCE)
        pairs = pairs[pairs["against"] != AFTER]
        of_tests[model] = _index(pairs, "intervention", pairs["against"])
        of_groups[model] = _index(groups[model], "group")
    parts = [_compare(of_rows, quantity) for quantity in OF_ROWS]
    parts += [_compare(of_tests, DIFFERENCE), _compare(of_groups, "crossfitted_share")]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _leave_broken_out(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return a table without a quantity and its interval where a model no longer writes."""
    broken = table["no_longer_writes"].astype(bool)
    columns = [f"{quantity}{end}" for end in ENDS]
    return table.assign(**{column: table[column].mask(broken) for column in columns})


def _index(table: pd.DataFrame, name: str, against: pd.Series | str = "") -> pd.DataFrame:
    """Index a table by what its rows are of, a column's name, and by what they are against."""
    return table.assign(of=table[name], against=against).set_index(["of", "against"])


def _compare(tables: Mapping[str, pd.DataFrame], quantity: str) -> pd.DataFrame:
    """Compare one quantity of all models, whose tables have the index (of, against)."""
    values = pd.concat([table[quantity] for table in tables.values()], axis=1)
    own = next(iter(tables.values()))
    values = values.dropna(how="all").loc[lambda all_seeds: all_seeds.index.isin(own.index)]
    own = own.loc[values.index]
    numbers = values.to_numpy()
    return pd.DataFrame(
        {
            "quantity": quantity,
            "of": values.index.get_level_values("of"),
            "against": values.index.get_level_values("against"),
            "value": own[quantity].to_numpy(),
            "low": own[f"{quantity}_low"].to_numpy(),
            "high": own[f"{quantity}_high"].to_numpy(),
            "seeds": values.notna().sum(axis=1).to_numpy(),
            "mean": values.mean(axis=1).to_numpy(),
            "deviation": values.std(axis=1, ddof=1).to_numpy(),
            "smallest": values.min(axis=1).to_numpy(),
            "largest": values.max(axis=1).to_numpy(),
            "same_sign": [_agree(row) if quantity == DIFFERENCE else NOT_ASKED for row in numbers],
            "by_seed": [" ".join(f"{value:.6g}" for value in row) for row in numbers],
        }
    )


def _agree(differences: np.ndarray) -> str:
    """Say whether the seeds' differences, (n,), those that are defined, have one sign."""
    signs = np.sign(differences[np.isfinite(differences)])
    if len(signs) < 2:
        return NOT_ASKED
    return YES if abs(signs.sum()) == len(signs) else NO


def format_seeds(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Format the table for reading. models: the names of all seeds' models, the recipe's first."""
    shown = table[["quantity", "of", "against"]].copy()
    digits = table["quantity"].map(DIGITS)
    shown[f"{models[0]} [interval over prompts]"] = [
        format_with_interval(row.value, row.low, row.high, places)
        for row, places in zip(table.itertuples(), digits, strict=True)
    ]
    shown["seeds"] = table["seeds"]
    shown["mean over seeds"] = [
        f"{row.mean:.{places}f} ± {row.deviation:.{places}f}"
        if np.isfinite(row.deviation)
        else f"{row.mean:.{places}f}"
        for row, places in zip(table.itertuples(), digits, strict=True)
    ]
    shown["from … to …"] = [
        f"{row.smallest:.{places}f} … {row.largest:.{places}f}"
        for row, places in zip(table.itertuples(), digits, strict=True)
    ]
    shown["each seed"] = [
        " · ".join(f"{float(value):.{places}f}" for value in row.by_seed.split())
        for row, places in zip(table.itertuples(), digits, strict=True)
    ]
    shown["same sign"] = table["same_sign"]
    return shown
