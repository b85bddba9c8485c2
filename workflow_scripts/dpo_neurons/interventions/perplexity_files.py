"""Files of perplexity: each row's losses, window by window."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_checked_json

EXPLODED = 10.0
"""A model no longer writes if its perplexity is more than so many times that of the first model."""


class WindowLosses(NamedTuple):
    """A row's losses on windows of text."""

    losses: np.ndarray
    """(n_windows,) summed negative log-likelihood of a window's scored tokens, in nats."""
    tokens: np.ndarray
    """(n_windows,) scored tokens."""
    screened: bool
    """Whether the row was read on the first windows alone, because it breaks the model."""


def read_window_losses(path: Path) -> dict[str, WindowLosses]:
    """Read the losses of an entry's rows, by row.

    Raises InputError if the file is damaged.
    """
    measured = read_checked_json(path, "delete it and run again")
    try:
        windows = {
            str(row["intervention"]): WindowLosses(
                np.array(row["window_losses"], dtype=np.float64),
                np.array(row["window_tokens"], dtype=np.int64),
                bool(row["screened"]),
            )
            for row in measured["interventions"]
        }
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: losses cannot be read from it ({reason}); delete it and run again"
        ) from error
    for losses, tokens, _ in windows.values():
        if losses.ndim != 1 or losses.shape != tokens.shape:
            raise InputError(
                f"{path}: window_losses and window_tokens must be lists of one length; delete it "
                "and run again"
            )
    return windows
