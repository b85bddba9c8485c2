"""Draw figures 2c, 5a and 5b: an arrow a neuron, from before fine-tuning to after."""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from dpo_neurons.figures.style import (
    figure_arguments,
    group_colour,
    order_groups,
    pretty_group,
    signed_log_scale,
    write_figure,
)
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.groups import UNCHANGED
from dpo_neurons.running.program import run_program
from dpo_neurons.statistics.ranking import largest

RANKINGS = {"reduction": "reduction", "cosine": "cosine with the direction"}
QUANTITIES = ("projection", "activation")


def aggregate(
    contributions: pd.DataFrame, ranked_by: str, first: int, last: int, quantity: str
) -> pd.DataFrame:
    """Pick the neurons ranked `first` to `last`, both included (v1, figures 2c, 5a and 5b).

    contributions: a row a neuron, as in the contributions file; rank 1 has the largest
    `ranked_by`. Returns a row a neuron by rank: rank, layer, neuron, group; before and after, its
    `quantity` in the two models; reduction.
    """
    ranked = largest(contributions[ranked_by].to_numpy(), last)
    chosen = contributions.iloc[ranked[first - 1 :]]
    return pd.DataFrame(
        {
            "rank": np.arange(first, first + len(chosen)),
            "layer": chosen["layer"].to_numpy(),
            "neuron": chosen["neuron"].to_numpy(),
            "group": chosen["group"].astype(str).to_numpy(),
            "before": chosen[f"{quantity}_pre"].to_numpy(),
            "after": chosen[f"{quantity}_post"].to_numpy(),
            "reduction": chosen["reduction"].to_numpy(),
        }
    )


def chart(
    data: pd.DataFrame, ranked_by: str, quantity: str, model: str, direction_name: str
) -> alt.VConcatChart:
    """Draw a panel a group met, the arrows of its neurons in order of rank."""
    groups = order_groups(data["group"]) or [UNCHANGED]
    first, last = (data["rank"].min(), data["rank"].max()) if len(data) else (0, 0)
    rank = alt.X("rank:Q").scale(domain=[int(first) - 1, int(last) + 1], nice=False)
    rank = rank.axis(format=",d", tickMinStep=1, grid=False, labels=False).title(None)
    bottom = rank.axis(format=",d", tickMinStep=1, grid=False)
    bottom = bottom.title(f"neuron rank by {RANKINGS[ranked_by]} (1 = largest)")
    along = f" on the {direction_name} direction" if quantity == "projection" else ""
    which = f"neurons ranked {first:,}–{last:,} by {ranked_by}" if len(data) else "no neurons"
    return alt.vconcat(
        *[_panel(data, groups, group, bottom if group == groups[-1] else rank) for group in groups],
        spacing=6,
        title=alt.Title(
            f"Shifts in {quantity}{along}, {which}",
            subtitle=[
                f"{model}: each arrow a neuron, from before fine-tuning to after;",
                f"mean {quantity}, each panel on a symmetric log scale of its own",
            ],
        ),
    )


def _panel(data: pd.DataFrame, groups: list[str], group: str, rank: alt.X) -> alt.LayerChart:
    members = data[data["group"] == group]
    scale, axis = signed_log_scale(members[["before", "after"]].to_numpy())
    level = alt.Y("before:Q", scale=scale, axis=axis, title=None)
    base = alt.Chart(members).encode(
        x=rank,
        color=group_colour(groups, None),
        tooltip=[
            "rank:Q",
            "layer:Q",
            "neuron:Q",
            "group:N",
            *[alt.Tooltip(f"{c}:Q", format=".4g") for c in ("before", "after", "reduction")],
        ],
    )
    heads = base.transform_calculate(way="datum.after < datum.before ? 'falls' : 'rises'")
    way = alt.Shape("way:N", legend=None)
    way = way.scale(domain=["falls", "rises"], range=["triangle-down", "triangle-up"])
    reduction = f"{members['reduction'].sum():.3g}".replace("-", "−")
    noun = "neuron" if len(members) == 1 else "neurons"
    title = f"{pretty_group(group)}: {len(members):,} {noun}, reduction {reduction} in all"
    return alt.layer(
        base.mark_rule(strokeWidth=1.2).encode(y=level, y2="after:Q"),
        alt.Chart().mark_rule(color="#303030").encode(y=alt.datum(0)),
        heads.mark_point(filled=True, size=14, opacity=1).encode(
            y=alt.Y("after:Q", scale=scale), shape=way
        ),
        title=alt.Title(title, fontSize=13, fontWeight="normal", offset=6),
    ).properties(width=840, height=130)


def main() -> None:
    """Read the contributions, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument("--ranked-by", choices=RANKINGS, required=True, help="ranks the neurons")
    parser.add_argument("--first", type=int, required=True, help="first rank, from 1")
    parser.add_argument("--last", type=int, required=True, help="last rank, included")
    parser.add_argument("--quantity", choices=QUANTITIES, required=True, help="what shifts")
    parser.add_argument("--direction-name", required=True, help="its name, for the titles")
    figure_arguments(parser)
    arguments = parser.parse_args()
    if not 1 <= arguments.first <= arguments.last:
        parser.error("--first must be at least 1 and --last at least --first")

    contributions = read_contributions(arguments.contributions)
    ranked_by, quantity = arguments.ranked_by, arguments.quantity
    data = aggregate(contributions, ranked_by, arguments.first, arguments.last, quantity)
    figure = chart(data, ranked_by, quantity, arguments.model, arguments.direction_name)
    write_figure(figure, arguments.output_stem)


if __name__ == "__main__":
    run_program(main)
