"""The map of a model's page: sums of reductions by layer and group, as shaded cells."""

from typing import NamedTuple

import pandas as pd

from dpo_neurons.neurons.groups import GROUPS

COLUMNS = (
    "layer", "group", "neurons", "reduction", "crossfitted_reduction",
    "crossfitted_reduction_low", "crossfitted_reduction_high",
)  # fmt: skip


class MapCell(NamedTuple):
    """A layer's neurons of one group."""

    neurons: int
    reduction: str
    """Cross-fitted."""
    shade: str
    """Blue where it is positive, orange where negative, as a colour of CSS."""
    detail: str
    """Its interval and the published sum."""


def map_layers(layer_groups: pd.DataFrame) -> list[tuple[int, list[MapCell]]]:
    """Lay out sums by layer and group: each layer, from the last, and its cells in GROUPS' order.

    layer_groups: the COLUMNS. Cells show the cross-fitted sums: the published ones choose and
    sum neurons on the same prompts.
    """
    largest = layer_groups["crossfitted_reduction"].abs().max()
    by_cell = layer_groups.set_index(["layer", "group"])
    lines = []
    for layer in sorted(layer_groups["layer"].unique(), reverse=True):
        cells = []
        for group in GROUPS:
            row = by_cell.loc[(layer, group)]
            value = row["crossfitted_reduction"]
            strength = round(0.75 * abs(value) / largest, 3) if largest > 0 else 0
            colour = "0, 88, 143" if value > 0 else "213, 94, 0"
            low, high = row["crossfitted_reduction_low"], row["crossfitted_reduction_high"]
            cells.append(
                MapCell(
                    int(row["neurons"]),
                    f"{value:z.3g}",
                    f"rgba({colour}, {strength})",
                    f"cross-fitted {value:z.4g} [{low:z.4g}, {high:z.4g}], "
                    f"published {row['reduction']:z.4g}",
                )
            )
        lines.append((int(layer), cells))
    return lines
