"""A study's rows as they are run by hand in a notebook, with transformers and hooks alone.

Each row loads the model, changes it, continues the prompts with `model.generate`, and reads the
text window by window.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from transformers import PreTrainedModel

MLPS = {"gpt2": "transformer.h.{}.mlp", "llama": "model.layers.{}.mlp"}
DOWN_PROJECTIONS = {"gpt2": "c_proj", "llama": "down_proj"}
KEY_PROJECTIONS = {"gpt2": "c_fc", "llama": "gate_proj"}
PARTS = {"transplant_keys": ".mlp.", "transplant_values": ".mlp.", "transplant_attention": "attn."}
"""In whose parameters' names a transplanted part is found; an MLP is taken as a whole."""


def main() -> None:
    """Run all rows of the entries in a folder of `study_files`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for option in ("tokens", "batch-size", "window", "threads"):
        parser.add_argument(f"--{option}", type=int, required=True)
    for option in ("dtype", "device"):
        parser.add_argument(f"--{option}", required=True)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import pandas as pd
    import torch
    from running import exhaust, generate_plainly
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(arguments.threads)
    folder, dtype = arguments.folder, getattr(torch, arguments.dtype)

    def load(stage: str) -> PreTrainedModel:
        model = AutoModelForCausalLM.from_pretrained(folder / stage, dtype=dtype)
        model.generation_config.eos_token_id = None
        return model.to(arguments.device).eval()

    tokenizer = AutoTokenizer.from_pretrained(folder / "pre", padding_side="left")
    sets = [
        [json.loads(line)["prompt"] for line in (folder / f"{name}.jsonl").open()]
        for name in ("challenge", "references")
    ]
    text = json.loads((folder / "text.jsonl").read_text())["text"]
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    (direction,) = load_file(folder / "direction.safetensors").values()
    direction = direction.flatten().to(arguments.device, dtype)
    for rows in sorted(folder.glob("*/rows.json")):
        plans = pd.read_parquet(rows.with_name("plans.parquet"))
        stage = rows.with_name("stage").read_text()
        for row in json.loads(rows.read_text()):
            model = load(stage)
            plan = plans[plans["intervention"] == row["intervention"]]
            donor = load("post" if stage == "pre" else "pre") if "donor_stage" in row else None
            where = [slice(-1, None)]
            for (layer, operation), changes in plan.groupby(["layer", "operation"]):
                change(model, donor, int(layer), str(operation), changes, direction, where)
            for prompts in sets:
                job = model, tokenizer, prompts, arguments.tokens, arguments.batch_size
                exhaust(generate_plainly, *job)
            where[0] = slice(None)
            with torch.inference_mode():
                for window in ids.to(arguments.device).split(arguments.window):
                    model(input_ids=window[None], labels=window[None])


def change(
    model: PreTrainedModel,
    donor: PreTrainedModel | None,
    layer: int,
    operation: str,
    changes: pd.DataFrame,
    direction: torch.Tensor,
    where: list[slice],
) -> None:
    """Change one layer of a model; where: the positions at which hooks act, as they are now."""
    import torch

    if operation in PARTS:
        assert donor is not None
        theirs = dict(donor.named_parameters())
        for name, parameter in model.named_parameters():
            if f".{layer}." in name and PARTS[operation] in name:
                parameter.data.copy_(theirs[name])
        return
    kind = model.config.model_type
    mlp = model.get_submodule(MLPS[kind].format(layer))
    down = mlp.get_submodule(DOWN_PROJECTIONS[kind])
    neurons = torch.tensor(changes["neuron"].to_numpy())
    values = torch.tensor(changes["value"].to_numpy()).to(direction)
    if operation == "scale_key":
        weight = mlp.get_submodule(KEY_PROJECTIONS[kind]).weight.data
        (weight if kind == "gpt2" else weight.T)[:, neurons] *= values
    elif operation == "subtract_direction":
        down.register_forward_hook(subtract(values[0] * direction, where))
    else:
        down.register_forward_pre_hook(set_neurons(operation, neurons, values, where))


def subtract(vector: torch.Tensor, where: list[slice]) -> Callable[..., Any]:
    """Make the hook that subtracts a vector from what an MLP puts out."""

    def hook(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
        output[:, where[0]] -= vector
        return output

    return hook


def set_neurons(
    operation: str, neurons: torch.Tensor, values: torch.Tensor, where: list[slice]
) -> Callable[..., Any]:
    """Make the hook that sets, scales or shifts a layer's neurons."""

    def hook(module: object, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        states = inputs[0][:, where[0]]
        if operation == "set":
            states[..., neurons] = values
        elif operation == "scale":
            states[..., neurons] *= values
        else:
            states[..., neurons] += values
        return inputs

    return hook


if __name__ == "__main__":
    main()
