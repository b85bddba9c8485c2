"""Choosing neurons from a table of them."""

from collections.abc import Sequence

import pandas as pd


def select_groups(table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """The rows of the neurons in any of the groups."""
    return table[table["group"].isin(groups)]


def select_by_cosine(table: pd.DataFrame, top: int, only_positive: bool = False) -> pd.DataFrame:
    """The rows of the `top` neurons whose value vectors lie closest to the direction.

    Neurons are ranked by cosine before fine-tuning; fewer come back if the model has fewer.
    only_positive: leave out neurons whose mean activation before is not above zero, as v1, table 1.
    """
    candidates = table[table["activation_pre"] > 0] if only_positive else table
    return candidates.sort_values("cosine", ascending=False, kind="stable").head(top)


def select_for_editing(table: pd.DataFrame, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The neurons that v3's activation editing weakens and strengthens, without a second model.

    table: a row a neuron with cosine and activation_pre. Neurons are split by the signs of both
    alone into TP, AN, TN and AP and ranked by |cosine| in each. Weakened is the `share` (β) of TP
    and AN that is closest to the direction's line, strengthened the share of TN and AP that is
    farthest from it.
    """
    toxic, positive = table["cosine"] > 0, table["activation_pre"] >= 0
    aligned = table["cosine"] != 0
    weakened: list[pd.DataFrame] = []
    strengthened: list[pd.DataFrame] = []
    for chosen, into, ascending in (
        (toxic & positive, weakened, False),
        (~toxic & ~positive, weakened, False),
        (toxic & ~positive, strengthened, True),
        (~toxic & positive, strengthened, True),
    ):
        group = table[chosen & aligned]
        order = group["cosine"].abs().sort_values(ascending=ascending, kind="stable")
        into.append(group.loc[order.index[: round(share * len(group))]])
    return pd.concat(weakened), pd.concat(strengthened)
