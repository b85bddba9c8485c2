"""Random tables of what fine-tuning changed, of any depth, as the programs write them."""

import numpy as np
import pandas as pd

from dpo_neurons.figures import residual_shift, stream_split, weight_changes
from dpo_neurons.neurons.groups import GROUPS

random = np.random.default_rng(7)


def sources(n_layers, n_groups=8):
    """A summary of a split, its parts summing to the reductions."""
    by = ["all", *["group"] * n_groups, *["layer"] * n_layers]
    part = ["all", *GROUPS[:n_groups], *map(str, range(n_layers))]
    table = pd.DataFrame({"by": by, "part": part, "neurons": 9})
    for name in ("from_value", "from_key", "from_inputs", "from_text"):
        table[name] = random.normal(size=len(table))
    table["reduction"] = table[["from_value", "from_key", "from_inputs"]].sum(axis=1)
    return table


def shifts(n_layers, n_prompts):
    """Tables of layers and prompts, of four layers."""
    measures = list(residual_shift.MEASURES)
    layers = pd.DataFrame(random.uniform(-1, 1, (n_layers, len(measures))), columns=measures)
    layers.insert(0, "layer", range(n_layers))
    shown = sorted({0, n_layers // 3, n_layers // 2, n_layers - 1})
    index = pd.MultiIndex.from_product([shown, range(n_prompts), ["pre", "post"]])
    prompts = index.to_frame(index=False, name=["layer", "prompt", "stage"])
    for name in ("along_shift", "beside_shift"):
        prompts[name] = random.normal(size=len(prompts))
    return prompts, layers


def changes(n_layers, late):
    """Histograms of each layer with its own shift, and with the late one's."""
    rows = []
    for layer in range(n_layers):
        for shift_layer in sorted({layer, max(layer, late)}):
            for sign in ("negative", "positive"):
                low = np.arange(-50, 50) / 50
                bins = pd.DataFrame({"cosine_low": low, "cosine_high": low + 0.02})
                rows.append(
                    bins.assign(
                        layer=layer,
                        shift_layer=shift_layer,
                        activation=sign,
                        neurons=random.integers(1, 99, 100),
                        written=random.normal(size=100),
                    )
                )
    return pd.concat(rows, ignore_index=True)


def matrices(n_layers):
    """A table of weight changes: an embedding, and three matrices of each layer."""
    names = {"self_attn.o_proj": "attention", "mlp.up_proj": "keys", "mlp.down_proj": "values"}
    places = [(layer, part, name) for layer in range(n_layers) for name, part in names.items()]
    table = pd.DataFrame([(-1, "embedding", "wte"), *places], columns=["layer", "part", "matrix"])
    for column in weight_changes.COLUMNS[3:]:
        table[column] = random.uniform(0.1, 1, len(table))
    return table


def written(n_layers):
    """Reductions of what each layer wrote, and of the stream after it."""
    index = pd.MultiIndex.from_product([stream_split.TEXTS, range(n_layers), stream_split.ROWS])
    layers = index.to_frame(index=False, name=["text", "layer", "what"])
    layers["reduction"] = random.normal(size=len(layers))
    return layers.assign(
        reduction_low=layers["reduction"] - 0.1, reduction_high=layers["reduction"] + 0.1
    )


def probabilities(n_layers):
    """Probabilities after each half layer of both models."""
    index = pd.MultiIndex.from_product([["pre", "post"], range(n_layers), ["attention", "mlp"]])
    table = index.to_frame(index=False, name=["stage", "layer", "after"])
    table["probability"] = random.uniform(0.2, 0.3, len(table))
    return table.assign(
        probability_low=table["probability"] - 0.1, probability_high=table["probability"] + 0.1
    )
