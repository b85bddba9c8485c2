"""Files of continuations: what a model wrote after each prompt, as text and as token ids."""

from pathlib import Path

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import read_jsonl


def read_continuations(path: Path) -> pd.DataFrame:
    """Read continuations of an entry's rows: a line each.

    It has intervention, whose it is, prompt, continuation and tokens, their ids. Further keys
    become columns too. Raises InputError if the file is damaged or a line has no ids.
    """
    rows = read_jsonl(path, ("intervention", "prompt", "continuation"))
    for number, row in enumerate(rows, start=1):
        tokens = row.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
            raise InputError(
                f"{path}, line {number}: needs the key 'tokens' with a list of whole numbers; "
                "delete the file and run again"
            )
    return pd.DataFrame(rows)
