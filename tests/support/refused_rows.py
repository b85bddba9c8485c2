"""The sentence with which a selection of rows is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from dpo_neurons.errors import InputError


def refused(
    select: Callable[..., Any], rows: list[dict[str, Any]], dataset: str, **settings: Any
) -> str:
    """Select rows, which must fail; returns the message, one line."""
    with pytest.raises(InputError) as caught:
        select(rows, dataset, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)
