"""Several seeds of one recipe: the spread of results over them, beside the interval over prompts.

An interval over prompts says what other prompts might give of this model. Another seed of the same
fine-tuning is another model, and only the spread over seeds says how far they differ.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import format_with_interval
from dpo_neurons.statistics.bootstrap import ENDS

OF_ROWS = ("toxicity", "perplexity", "effect_share")
"""What is compared of each intervention."""
ROWS_COLUMNS = (
    "intervention", "no_longer_writes", *(f"{name}{end}" for name in OF_ROWS for end in ENDS),
)  # fmt: skip
GROUPS_COLUMNS = (
    "group", "crossfitted_share", "crossfitted_share_low", "crossfitted_share_high",
)  # fmt: skip
COLUMNS = (
    "quantity", "of", "value", "low", "high", "seeds", "mean", "deviation", "smallest", "largest",
)  # fmt: skip
"""`value`, `low` and `high` are of the recipe's own model, with its interval over prompts. `mean`,
`deviation` (of a sample), `smallest` and `largest` are over all seeds for which the quantity is
defined; `seeds` is their number."""
DIGITS = {"toxicity": 3, "perplexity": 2, "effect_share": 2, "crossfitted_share": 3}


def tabulate_seeds(
    rows: Mapping[str, pd.DataFrame], groups: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Tabulate results over seeds: the COLUMNS, a row a quantity of an intervention or a group.

    rows, groups: each model's table of interventions and of groups, with ROWS_COLUMNS and
    GROUPS_COLUMNS; the recipe's own model comes first. A quantity that no model defines is left
    out. The toxicity of a row whose model no longer writes says nothing, and is not defined.
    """
    rows = {model: _leave_broken_out(table) for model, table in rows.items()}
    parts = [_compare(rows, "intervention", name) for name in OF_ROWS]
    parts.append(_compare(groups, "group", "crossfitted_share"))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _leave_broken_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of interventions without the toxicity of rows that no longer write."""
    toxicity = [column for column in ROWS_COLUMNS if column.startswith("toxicity")]
    broken = table["no_longer_writes"].astype(bool)
    return table.assign(**{column: table[column].mask(broken) for column in toxicity})


def _compare(tables: Mapping[str, pd.DataFrame], key: str, quantity: str) -> pd.DataFrame:
    """Compare one quantity of all models, by intervention or group."""
    values = pd.concat([table.set_index(key)[quantity] for table in tables.values()], axis=1)
    own = next(iter(tables.values())).set_index(key)
    values = values.dropna(how="all").loc[lambda all_seeds: all_seeds.index.isin(own.index)]
    own = own.loc[values.index]
    return pd.DataFrame(
        {
            "quantity": quantity,
            "of": values.index,
            "value": own[quantity].to_numpy(),
            "low": own[f"{quantity}_low"].to_numpy(),
            "high": own[f"{quantity}_high"].to_numpy(),
            "seeds": values.notna().sum(axis=1).to_numpy(),
            "mean": values.mean(axis=1).to_numpy(),
            "deviation": values.std(axis=1, ddof=1).to_numpy(),
            "smallest": values.min(axis=1).to_numpy(),
            "largest": values.max(axis=1).to_numpy(),
        }
    )


def format_seeds(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Format the table for reading. models: the names of all seeds' models, the recipe's first."""
    shown = table[["quantity", "of"]].copy()
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
    return shown
