"""Selection of neurons from a table with one row for each neuron, and of heads."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dpo_neurons.errors import InputError


def select_groups(table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Select the neurons in any of the groups."""
    return table[table["group"].isin(groups)]


def select_by_cosine(table: pd.DataFrame, top: int, only_positive: bool = False) -> pd.DataFrame:
    """Select the `top` neurons whose written vectors lie closest to the direction.

    Neurons are ranked by the cosine before fine-tuning. If there are fewer neurons, all are
    selected. only_positive: select only neurons with a positive mean activation before
    fine-tuning, as in table 1 of Yang et al. 2024 (arXiv 2411.06424v1).
    """
    candidates = table[table["activation_pre"] > 0] if only_positive else table
    return candidates.sort_values("cosine", ascending=False, kind="stable").head(top)


def select_by_score(table: pd.DataFrame, scores: pd.Series, top: int) -> pd.DataFrame:
    """Select the `top` neurons with the largest scores, one for each row of the table."""
    return table.loc[scores.sort_values(ascending=False, kind="stable").index].head(top)


def select_heads(heads: pd.DataFrame, top: int) -> pd.DataFrame:
    """Select the coordinates of the `top` heads that write the largest part of the reduction.

    heads: a row a coordinate, with layer, head and reduction, that of the whole head.
    """
    ranked = heads.drop_duplicates(["layer", "head"])
    ranked = ranked.sort_values("reduction", ascending=False, kind="stable").head(top)
    return heads.merge(ranked[["layer", "head"]], on=["layer", "head"])


def select_listed(table: pd.DataFrame, listed: Iterable[tuple[str, Any, Any]]) -> pd.DataFrame:
    """Select the neurons that are listed as (place, layer, neuron).

    place: where it stands, for messages, such as "mine.csv, line 3".
    Raises InputError for a neuron that the table does not have, or that is listed twice.
    """
    known = pd.MultiIndex.from_frame(table[["layer", "neuron"]])
    chosen: dict[tuple[int, int], str] = {}
    for place, layer, neuron in listed:
        try:
            key = int(str(layer)), int(str(neuron))
        except ValueError:
            raise InputError(
                f"{place}: layer {layer!r}, neuron {neuron!r} are no whole numbers; correct them"
            ) from None
        if key in chosen:
            raise InputError(
                f"{place}: layer {key[0]}, neuron {key[1]} is listed twice ({chosen[key]} too); "
                "remove one of them"
            )
        if key not in known:
            raise InputError(
                f"{place}: the model has no layer {key[0]}, neuron {key[1]}; both count from 0"
            )
        chosen[key] = place
    return table[known.isin(list(chosen))]


def select_for_editing(
    table: pd.DataFrame, share: float, without_most_active: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the neurons that activation editing weakens and strengthens.

    Yang et al. (arXiv 2411.06424v3), activation editing; it needs no second model.

    table: one row per neuron with cosine and activation_pre. The signs of both split the neurons
    into TP, AN, TN and AP. Each of these groups is ranked by |cosine|. The `share` (β) of TP and
    of AN with the largest |cosine| is weakened. The share of TN and of AP with the smallest is
    strengthened. Numbers of neurons are rounded down. without_most_active: share of all neurons,
    those with the largest |activation_pre|, that is left out before.
    Returns the neurons to weaken, then those to strengthen.
    """
    if without_most_active:
        order = table["activation_pre"].abs().sort_values(ascending=False, kind="stable").index
        table = table.drop(index=order[: int(without_most_active * len(table))])
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
        into.append(group.loc[order.index[: int(share * len(group))]])
    return pd.concat(weakened), pd.concat(strengthened)


def split_for_editing(
    table: pd.DataFrame, groups: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the neurons of known groups into those to weaken and those to strengthen.

    As `select_for_editing` does, editing weakens TP and AN and strengthens TN and AP. groups: with
    the sign of what fine-tuning did, such as TP-.
    """
    kind = table["group"].astype(str).str[:2]
    chosen = table["group"].isin(groups)
    return table[chosen & kind.isin(["TP", "AN"])], table[chosen & kind.isin(["TN", "AP"])]
