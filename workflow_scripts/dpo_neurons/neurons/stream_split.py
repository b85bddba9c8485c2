"""The shift of the residual stream along a direction, split by what wrote it.

The stream after block l is the stream before the first block (the embedding, with that of
positions) plus what attention and MLP of blocks 0 to l wrote. Its projection on a direction is
therefore a sum over the embedding, each head, each layer's neurons and the biases, and so is its
change by fine-tuning. Not in the papers, which look at neurons alone.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.models.head_outputs import read_head_outputs
from dpo_neurons.models.value_vectors import project_written_vectors
from dpo_neurons.neurons.prompt_projections import PromptProjections, resample_drops
from dpo_neurons.statistics.bootstrap import interval

EMBEDDING, HEAD, NEURONS, STREAM = "embedding", "head", "neurons", "stream"
ATTENTION_BIAS, MLP_BIAS = "attention_bias", "mlp_bias"
SUMS = {
    "attention": (HEAD, ATTENTION_BIAS),
    "mlp": (NEURONS, MLP_BIAS),
    "stream": (STREAM,),
}
"""What is listed of each layer, and the parts that it sums."""
TOTALS = {
    "embedding": (EMBEDDING,),
    "heads": (HEAD,),
    "neurons": (NEURONS,),
    "biases": (ATTENTION_BIAS, MLP_BIAS),
}
"""What is listed of the whole stream, and the parts that it sums."""
ALL = "all"
"""The whole shift of the stream after the last block, as it was measured."""
REDUCTIONS = ("reduction", "reduction_low", "reduction_high")
SHARES = ("share", "share_low", "share_high")
TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest error, by number format, of what the parts add up to: the stream itself is rounded."""


@dataclass(frozen=True)
class StreamParts:
    """Projections on a unit direction of a checkpoint's stream, and of what was written into it."""

    parts: pd.DataFrame
    """A row a part: layer, part, head (−1 unless the part is a head). The part `stream` is the
    stream after the layer's block, as it was measured."""
    means: np.ndarray
    """(n_parts,) float64: mean over all counted tokens."""
    by_prompt: PromptProjections
    """Each prompt's sums over its counted tokens, (n_prompts, n_parts)."""

    def sums_of_parts(self) -> np.ndarray:
        """What the parts add up to after each block, (n_layers,)."""
        added = self.parts["part"] != STREAM
        layers = self.parts.loc[added, "layer"].to_numpy()
        sums: np.ndarray = np.bincount(layers, weights=self.means[added]).cumsum()
        return sums

    def stream(self) -> np.ndarray:
        """The measured stream after each block, (n_layers,)."""
        stream: np.ndarray = self.means[self.parts["part"] == STREAM]
        return stream


def read_stream_parts(
    checkpoint: Path, cache: h5py.File, direction: np.ndarray, direction_file: Path, text: str = ""
) -> StreamParts:
    """Read what a checkpoint's parts wrote along a unit direction, (d_model,), from its cache.

    text: "_same_text" for a cache of crossed activations, in which the checkpoint reads another
    one's text.
    Raises InputError if the direction or the cache does not fit the checkpoint.
    """
    heads = read_head_outputs(checkpoint, direction)
    n_layers, n_heads, _ = heads.components.shape
    z_shape = (n_layers, heads.components[0].size)
    z_mean = cache[f"attn_z_normed{text}_mean"][:].astype(np.float64)
    if z_mean.shape != z_shape:
        raise InputError(
            f"{cache.filename}: attn_z_normed{text} of shape {z_mean.shape} does not fit "
            f"{checkpoint}, whose heads are {z_shape}; capture the activations again"
        )
    _, _, mlp_biases = project_written_vectors(checkpoint, direction, direction_file)
    tokens = cache["mask"][:].sum(axis=1)

    def project_stream(name: str, layer: int) -> np.ndarray:
        projections: np.ndarray = cache[name][:, layer].astype(np.float64) @ direction
        return projections

    previous = project_stream(f"resid_pre{text}", 0)
    rows, by_prompt, means = (
        [(0, EMBEDDING, -1)],
        [previous],
        [np.average(previous, weights=tokens)],
    )
    head_means = (z_mean.reshape(heads.components.shape) * heads.components).sum(axis=2)
    mlp_means = cache[f"mlp_written{text}_mean"][:].astype(np.float64) @ direction
    for layer in range(n_layers):
        z = cache[f"attn_z_normed{text}"][:, layer].reshape(len(tokens), n_heads, -1)
        written = np.einsum("phd,hd->ph", z, heads.components[layer])
        stream = project_stream(f"resid_post{text}", layer)
        # A prompt's MLP output is not stored: it is what else the block added to its stream.
        mlp = stream - previous - written.sum(axis=1) - heads.biases[layer]
        constant = np.ones(len(tokens))
        rows += [(layer, HEAD, head) for head in range(n_heads)]
        rows += [(layer, part, -1) for part in (ATTENTION_BIAS, NEURONS, MLP_BIAS, STREAM)]
        by_prompt += [
            *written.T,
            heads.biases[layer] * constant,
            mlp - mlp_biases[layer],
            mlp_biases[layer] * constant,
            stream,
        ]
        means += [
            *head_means[layer],
            heads.biases[layer],
            mlp_means[layer] - mlp_biases[layer],
            mlp_biases[layer],
            np.average(stream, weights=tokens),
        ]
        previous = stream
    sums = np.column_stack(by_prompt) * tokens[:, None]
    parts = pd.DataFrame(rows, columns=["layer", "part", "head"])
    return StreamParts(parts, np.array(means), PromptProjections(sums, tokens))


def check_sums(parts: StreamParts, tolerance: float, cache: Path, checkpoint: Path) -> float:
    """Check that the parts add up to the stream after each block.

    tolerance: the largest error allowed, relative to the sum of the parts' absolute projections.
    Returns the largest relative error.
    Raises InputError for a larger error.
    """
    size = np.abs(parts.means[parts.parts["part"] != STREAM]).sum()
    error = float(np.abs(parts.sums_of_parts() - parts.stream()).max() / max(size, 1e-30))
    if not error <= tolerance:
        raise InputError(
            f"{cache}: the parts do not add up to the residual stream (relative error {error:.2g}, "
            f"allowed {tolerance:g}); it was captured from another checkpoint than {checkpoint}, "
            "so capture it again, or the architecture changes the stream otherwise than by adding"
        )
    return error


def split_shift(
    pre: StreamParts, post: StreamParts, resamples: int, level: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split the shift of the stream along the direction, with intervals over prompts.

    A reduction is before minus after, as for neurons: it is positive where less is written along
    the direction.
    Returns three tables. Parts: layer, part, head and its reduction. Layers: layer, what (of SUMS)
    and its reduction; `stream` is that of the whole stream after the block. Totals: part (of
    TOTALS, and ALL), its reduction, and its share of the shift of the stream after the last block
    with its interval; shares are NaN unless the interval of the shift excludes zero.
    """
    drawn = resample_drops(pre.by_prompt, post.by_prompt, resamples, seed)
    reductions, parts = pre.means - post.means, pre.parts
    n_layers = parts["layer"].max() + 1

    written = (parts["part"] != STREAM).to_numpy()
    listed = parts[written].assign(
        **_with_interval(reductions[written], drawn[:, written], level, REDUCTIONS)
    )
    in_layer = [parts["layer"] == layer for layer in range(n_layers)]
    of_sum = [parts["part"].isin(summed) for summed in SUMS.values()]
    chosen = np.column_stack([layer & part for layer in in_layer for part in of_sum]).astype(float)
    by_layer = pd.DataFrame(
        {"layer": np.repeat(np.arange(n_layers), len(SUMS)), "what": [*SUMS] * n_layers}
    ).assign(**_with_interval(reductions @ chosen, drawn @ chosen, level, REDUCTIONS))

    last = in_layer[-1] & (parts["part"] == STREAM)
    of_total = [parts["part"].isin(summed) for summed in TOTALS.values()]
    chosen = np.column_stack([*of_total, last]).astype(float)
    summed, summed_drawn = reductions @ chosen, drawn @ chosen
    totals = pd.DataFrame({"part": [*TOTALS, ALL]}).assign(
        **_with_interval(summed, summed_drawn, level, REDUCTIONS)
    )
    low, high = totals.iloc[-1][["reduction_low", "reduction_high"]]
    if low > 0 or high < 0:
        shares = summed / summed[-1], summed_drawn / summed_drawn[:, -1:]
    else:
        shares = np.full_like(summed, np.nan), np.full_like(summed_drawn, np.nan)
    return listed, by_layer, totals.assign(**_with_interval(*shares, level, SHARES))


def _with_interval(
    values: np.ndarray, drawn: np.ndarray, level: float, names: tuple[str, str, str]
) -> dict[str, np.ndarray]:
    return dict(zip(names, (values, *interval(drawn, level)), strict=True))
