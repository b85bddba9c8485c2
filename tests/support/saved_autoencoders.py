"""Small sparse autoencoders, saved as sae-lens saves them, and files of their features."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from dpo_neurons.activations.feature_means import DATASETS
from dpo_neurons.files.hdf5 import new_hdf5, write_array
from dpo_neurons.neurons.feature_shifts import COLUMNS


def save_autoencoder(folder: Path, d_model: int, d_sae: int, tensors=(), **config) -> dict:
    """Save an autoencoder with random weights; return its weights. `tensors` name further ones."""
    random = np.random.default_rng(3)
    weights = {
        "W_enc": random.normal(size=(d_model, d_sae)),
        "W_dec": random.normal(size=(d_sae, d_model)),
        "b_dec": random.normal(size=d_model) / 5,
        **{name: random.uniform(0.1, 0.5, size=d_sae) for name in (*tensors, "b_enc")},
    }
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    folder.mkdir()
    save_file(weights, folder / "sae_weights.safetensors")
    hook = {} if "hook_point" in config else {"metadata": {"hook_name": "blocks.1.hook_resid_post"}}
    settings = {"normalize_activations": "none", "apply_b_dec_to_input": False, **hook, **config}
    (folder / "cfg.json").write_text(json.dumps(settings))
    return weights


def write_features(path: Path, d_model: int, d_sae: int, n_prompts: int) -> None:
    """Write random mean features of three readings, as `average_features` does."""
    random = np.random.default_rng(2)
    with new_hdf5(path) as file:
        for name in DATASETS:
            part = name.partition("_")[0]
            width = {"features": (d_sae,), "states": (d_model,), "tokens": ()}[part]
            values = random.integers(1, 9, size=(n_prompts, *width)).astype(
                "i8" if part == "tokens" else "f4"
            )
            write_array(file, name, values)


def split_by_hand(n_features: int) -> pd.DataFrame:
    """A split's rows: features by falling reduction, then the sums, on two texts."""
    random = np.random.default_rng(5)
    parts = ["feature"] * n_features + ["other features", "left out", "all"]
    of_text = pd.DataFrame({name: random.normal(size=len(parts)) for name in COLUMNS})
    of_text["part"], of_text["feature"] = parts, [*range(n_features), *[np.nan] * 3]
    of_text["promoted"] = ["“grim” “a long token of many letters”"] * n_features + [""] * 3
    return pd.concat([of_text.assign(text=text) for text in ("own", "same")], ignore_index=True)
