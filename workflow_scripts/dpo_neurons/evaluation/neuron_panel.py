"""What the panel of a neuron shows on a model's page."""

import base64
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dpo_neurons.files.json_text import script_json

LONGEST_PROMPT = 200
"""Characters of a prompt that are shown."""


def panels_as_json(largest: pd.DataFrame, prompts: Sequence[str]) -> str:
    """Write what the panels of neurons show as JSON for a script element.

    largest: of `neurons/largest_neurons`. prompts: all prompts, in the caches' order.
    Each neuron's sampled activations are 255 steps from its least to its largest, a byte each, in
    base64: before, then after. A plot of a few hundred pixels shows no smaller step. There are no
    panels if no prompt has a mean of both models.
    """
    with_texts = largest[largest["sampled_prompts"].map(len) > 0]
    named = [*with_texts["sampled_prompts"].head(1), *with_texts["changed_prompts"]]
    shown = np.unique(np.concatenate(named)).tolist() if named else []
    place = {prompt: number for number, prompt in enumerate(shown)}
    neurons = {}
    for row in with_texts.itertuples():
        sampled = np.concatenate([row.sampled_pre, row.sampled_post]).astype(float)
        least, most = (float(f"{end:.4g}") for end in (sampled.min(), sampled.max()))
        changed = zip(row.changed_prompts, row.changed_pre, row.changed_post, strict=True)
        neurons[f"{row.layer}.{row.neuron}"] = {
            "place": [int(row.group_rank), int(row.group_neurons)],
            "promoted": list(row.promoted),
            "suppressed": list(row.suppressed),
            "range": [least, most],
            "sampled": base64.b64encode(_steps(sampled)).decode(),
            "changed": [
                [place[int(at)], *(float(f"{mean:.4g}") for mean in means)]
                for at, *means in changed
            ],
        }
    return script_json(
        {
            "prompts": [_shorten(prompts[at]) for at in shown],
            "sampled": [place[int(at)] for at in (named[0] if named else ())],
            "neurons": neurons,
        }
    )


def _steps(values: np.ndarray) -> bytes:
    least, size = values.min(), np.ptp(values)
    steps = (values - least) / size * 255 if size else np.full_like(values, 127)
    return bytes(steps.round().astype(np.uint8))


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[:LONGEST_PROMPT]}…"
