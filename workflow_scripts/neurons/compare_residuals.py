"""Compare the residual streams of both checkpoints, and their value vectors with the shift."""

import argparse
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import write_csv
from dpo_neurons.models.value_vectors import check_width, iterate_value_vectors
from dpo_neurons.neurons.residual_shifts import (
    Shift,
    compare_changes,
    cosine,
    count_by_cosine,
    late_layer,
    layers_shown,
    measure_shift,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, compare layer by layer, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="csv, a row a layer")
    parser.add_argument("--prompts-output", type=Path, required=True, help="csv, at some layers")
    parser.add_argument("--changes-output", type=Path, required=True, help="csv of value vectors")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[0]
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        continued = prompts_continued(pre, post)
        n_layers, width = pre["resid_post"].shape[1:]
        check_width(direction[None], width, arguments.direction, arguments.activations_pre)
        activation = post["mlp_post_mean"][:].astype(np.float64)
        layers, prompts, shifts = [], [], []
        for layer in range(n_layers):
            before = pre["resid_post"][:, layer][continued]
            after = post["resid_post"][:, layer][continued]
            shift = measure_shift(before, after)
            layers.append(layer_row(layer, len(before), shift, direction))
            shifts.append(shift.mean)
            if layer in layers_shown(n_layers):
                sides = (("pre", before), ("post", after))
                prompts += [
                    prompt_rows(layer, np.flatnonzero(continued), stage, stream, shift)
                    for stage, stream in sides
                ]
    checkpoints = arguments.checkpoint_pre, arguments.checkpoint_post
    changes = pd.concat(changes_by_layer(*checkpoints, activation, np.stack(shifts)))
    tables = (
        (pd.DataFrame(layers), arguments.output),
        (pd.concat(prompts), arguments.prompts_output),
        (changes, arguments.changes_output),
    )
    for table, path in tables:
        write_csv(path, table)
    log.info("\n%s", pd.DataFrame(layers).to_string(index=False))


def prompts_continued(pre: h5py.File, post: h5py.File) -> np.ndarray:
    """Which prompts, (n_prompts,) bool, both models continued by at least one counted token.

    Raises InputError if there is none, or the two caches do not go together.
    """
    for name in ("resid_post", "mlp_post_mean"):
        if pre[name].shape != post[name].shape:
            raise InputError(
                f"{pre.filename}, {post.filename}: {name} of shapes {pre[name].shape} and "
                f"{post[name].shape}; capture both again on the same prompts"
            )
    continued = pre["mask"][:].any(axis=1) & post["mask"][:].any(axis=1)
    if not continued.any():
        raise InputError(
            f"{pre.filename}, {post.filename}: no prompt was continued by both models, so there "
            "is no shift to measure; give data.challenge_prompts more unfinished texts"
        )
    return continued


def layer_row(
    layer: int, n_prompts: int, shift: Shift, direction: np.ndarray
) -> dict[str, float | int]:
    """The row of a layer: how long its mean shift is, how far prompts share it, where it points."""
    length = float(np.linalg.norm(shift.mean))
    return {
        "layer": layer,
        "prompts": n_prompts,
        "shift": length,
        "relative_shift": length / shift.size_before if shift.size_before else 0.0,
        "shared": shift.shared,
        "shift_component_share": shift.shift_component_share,
        "shift_component_cosine": cosine(shift.mean, shift.shift_component),
        "stream_component_share": shift.stream_component_share,
        "stream_component_cosine": cosine(shift.mean, shift.stream_component),
        "direction_cosine": cosine(shift.mean, direction),
    }


def prompt_rows(
    layer: int, prompts: np.ndarray, stage: str, stream: np.ndarray, shift: Shift
) -> pd.DataFrame:
    """A row a prompt: its stream along the mean shift and along two principal components."""
    unit = shift.mean / (np.linalg.norm(shift.mean) or 1.0)
    wide = stream.astype(np.float64)
    return pd.DataFrame(
        {
            "layer": layer,
            "prompt": prompts,
            "stage": stage,
            "along_shift": wide @ unit,
            "along_component": wide @ shift.stream_component,
            "beside_shift": wide @ shift.side_component,
        }
    )


def changes_by_layer(
    checkpoint_pre: Path, checkpoint_post: Path, activation: np.ndarray, shifts: np.ndarray
) -> list[pd.DataFrame]:
    """Histograms of each layer's changes against its own shift, and against a late layer's.

    activation: (n_layers, d_mlp); shifts: (n_layers, d_model). Layers after the late one write
    nothing into its stream, so they are compared with their own shift alone.
    """
    late = late_layer(len(shifts))
    found = []
    both = zip(
        iterate_value_vectors(checkpoint_pre), iterate_value_vectors(checkpoint_post), strict=True
    )
    for layer, ((before, _), (after, _)) in enumerate(both):
        change = after - before
        for shift_layer in sorted({layer, max(layer, late)}):
            compared = compare_changes(change, activation[layer], shifts[shift_layer])
            counted = count_by_cosine(compared)
            counted.insert(0, "layer", layer)
            counted.insert(1, "shift_layer", shift_layer)
            found.append(counted)
    return found


if __name__ == "__main__":
    run_program(main)
