"""Sparse autoencoders (SAEs), in folders of sae-lens's format.

An autoencoder reads a state x of the residual stream, or of what an MLP writes into it, (d_model,).
Its features f(x) ≥ 0, (d_sae,), are sparse, and W_dec f(x) + b_dec approximates x. Each row of
W_dec, (d_model,), is what a feature stands for in the stream. sae-lens itself is not needed.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.files.provenance import check_as_recorded

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
HOOKS = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_post": "resid_post",
    "hook_mlp_out": "mlp_written",
}
"""Where an autoencoder may read, by TransformerLens's name: ours, of `stream_hooks`."""
COMMON = ("W_enc", "W_dec", "b_dec")
TENSORS = {
    "standard": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "topk": ("b_enc",),
    "gated": ("b_gate", "r_mag", "b_mag"),
}
"""Tensors beside COMMON, by the autoencoder's architecture."""


@dataclass(frozen=True)
class SparseAutoencoder:
    """An autoencoder and where it reads."""

    architecture: str
    """One of TENSORS."""
    quantity: str
    """What it reads, by our name: resid_pre (of layer 0 alone), resid_post or mlp_written."""
    layer: int
    tensors: dict[str, Tensor]
    """W_enc, (d_model, d_sae); W_dec, (d_sae, d_model); b_dec, (d_model,); the others, (d_sae,).
    float32 as they are read, float64 in training."""
    subtracts_bias: bool
    """Whether b_dec is subtracted from what it reads."""
    centres: bool
    """Whether it reads states without their mean over the stream's coordinates, as TransformerLens
    gives them when it centres the weights that write."""
    active: int | None = None
    """Of topk: how many features are active at a time."""

    @property
    def d_model(self) -> int:
        """Width of what it reads."""
        return self.tensors["W_dec"].shape[1]

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.tensors["W_dec"].shape[0]

    def to(self, device: torch.device) -> "SparseAutoencoder":
        """Return the autoencoder with its tensors on a device."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return replace(self, tensors=moved)

    def encode(self, states: Tensor) -> Tensor:
        """Encode states, (n, d_model): features, (n, d_sae), of the tensors' dtype, none below 0.

        standard: ReLU. jumprelu: what exceeds a feature's threshold (arXiv 2407.14435). topk: the
        `active` largest (2406.04093). gated: a gate says which, a magnitude how much (2404.16014).
        """
        weights = self.tensors
        states = states.to(weights["W_enc"].dtype)
        if self.centres:
            states = states - states.mean(dim=1, keepdim=True)
        if self.subtracts_bias:
            states = states - weights["b_dec"]
        products = states @ weights["W_enc"]
        if self.architecture == "gated":
            gate = products + weights["b_gate"] > 0
            magnitude = products * weights["r_mag"].exp() + weights["b_mag"]
            return torch.where(gate, magnitude.relu(), 0.0)
        activations = products + weights["b_enc"]
        if self.architecture == "jumprelu":
            return torch.where(activations > weights["threshold"], activations.relu(), 0.0)
        if self.architecture == "topk":
            assert self.active is not None
            largest = activations.topk(self.active, dim=1)
            return torch.zeros_like(activations).scatter(1, largest.indices, largest.values.relu())
        return activations.relu()


def read_autoencoder(folder: Path) -> SparseAutoencoder:
    """Read an autoencoder from a folder in sae-lens's format, of its versions 3 to 6.

    Raises InputError for a folder that is not one, or not as the workflow wrote it; for tensors
    that are missing, not finite or of a wrong shape; and for what this module cannot compute: other
    architectures or hooks, a single head's states, and inputs that are normalised or reshaped.
    """
    check_as_recorded(folder)
    config = read_json(folder / CONFIG, "fetch the autoencoder again")
    for key in ("metadata", "model_from_pretrained_kwargs", "activation_fn_kwargs"):
        if not isinstance(config.get(key) or {}, dict):
            _refuse(folder, key, config[key], "only an object can be read")
    # Version 6 keeps what is about training, the hook among it, in an object of its own.
    config = {**config, **(config.get("metadata") or {})}
    architecture, active = _read_architecture(folder, config)
    quantity, layer = _read_hook(folder, config)
    for key in ("normalize_activations", "reshape_activations"):
        if config.get(key) not in (None, "none"):
            _refuse(folder, key, config[key], "only none can be read")
    if config.get("finetuning_scaling_factor"):
        _refuse(folder, "finetuning_scaling_factor", True, "only false can be read")
    settings = config.get("model_from_pretrained_kwargs") or {}
    tensors = _read_tensors(folder / WEIGHTS, architecture)
    if active is not None and active > len(tensors["W_dec"]):
        _refuse(folder, "k", active, f"there are {len(tensors['W_dec'])} features")
    return SparseAutoencoder(
        architecture,
        quantity,
        layer,
        tensors,
        # Before version 4 there was no such key, and it was always subtracted.
        subtracts_bias=bool(config.get("apply_b_dec_to_input", True)),
        centres=bool(settings.get("center_writing_weights", False)),
        active=active,
    )


def write_top_k(autoencoder: SparseAutoencoder, folder: Path) -> None:
    """Write an autoencoder of architecture topk that reads resid_post, as sae-lens's version 6."""
    config = {
        "architecture": "topk",
        "d_in": autoencoder.d_model,
        "d_sae": autoencoder.d_sae,
        "k": autoencoder.active,
        "rescale_acts_by_decoder_norm": False,
        "apply_b_dec_to_input": autoencoder.subtracts_bias,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "dtype": "float32",
        "device": "cpu",
        "metadata": {
            # That of the format: without it, sae-lens takes the folder for an older one.
            "sae_lens_version": "6.0.0",
            "hook_name": f"blocks.{autoencoder.layer}.hook_resid_post",
        },
    }
    weights = {
        name: tensor.detach().float().contiguous() for name, tensor in autoencoder.tensors.items()
    }
    with whole_directory(folder) as partial:
        save_file(weights, partial / WEIGHTS)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _read_architecture(folder: Path, config: dict[str, Any]) -> tuple[str, int | None]:
    name, active = str(config.get("architecture", "standard")), config.get("k")
    # Before version 6, top-k was an activation function.
    function = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    if name == "standard" and function == "topk":
        name, active = "topk", (config.get("activation_fn_kwargs") or {}).get("k")
    elif name == "standard" and function != "relu":
        _refuse(folder, "activation_fn", function, "only relu and topk can be read")
    if name not in TENSORS:
        _refuse(folder, "architecture", name, f"only {', '.join(TENSORS)} can be read")
    if name != "topk":
        return name, None
    if not isinstance(active, int) or active < 1:
        _refuse(folder, "k", active, "topk needs a whole number from 1 on")
    if config.get("rescale_acts_by_decoder_norm"):
        _refuse(folder, "rescale_acts_by_decoder_norm", True, "only false can be read")
    return name, active


def _read_hook(folder: Path, config: dict[str, Any]) -> tuple[str, int]:
    name = config.get("hook_name", config.get("hook_point"))
    parts = re.fullmatch(r"blocks\.(\d+)\.(\w+)", str(name))
    if parts is None or parts[2] not in HOOKS or config.get("hook_head_index") is not None:
        _refuse(folder, "hook_name", name, f"only blocks.….{', '.join(HOOKS)} can be read")
    quantity, layer = HOOKS[parts[2]], int(parts[1])
    if quantity == "resid_pre" and layer > 0:
        return "resid_post", layer - 1
    return quantity, layer


def _refuse(folder: Path, key: str, value: object, limit: str) -> NoReturn:
    raise InputError(
        f"{folder / CONFIG}: {key} is {value!r}, but {limit}; give another autoencoder"
    )


def _read_tensors(file: Path, architecture: str) -> dict[str, Tensor]:
    names = (*COMMON, *TENSORS[architecture])
    try:
        with safe_open(file, framework="pt") as stored:
            present = set(stored.keys())
            if missing := [name for name in names if name not in present]:
                raise InputError(
                    f"{file}: lacks {missing[0]}, which an autoencoder of architecture "
                    f"{architecture} has; fetch the autoencoder again"
                )
            tensors = {name: stored.get_tensor(name).float() for name in names}
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{file}: cannot be read ({error}); fetch the autoencoder again"
        ) from error
    shape = tuple(tensors["W_dec"].shape)
    d_sae, d_model = shape if len(shape) == 2 else (0, 0)
    shapes = {name: (d_sae,) for name in names} | {
        "W_enc": (d_model, d_sae), "W_dec": (d_sae, d_model), "b_dec": (d_model,)
    }  # fmt: skip
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name] or d_sae == 0:
            raise InputError(
                f"{file}: {name} is {tuple(tensor.shape)}, which does not fit W_dec of {shape}; "
                "fetch the autoencoder again"
            )
        if not tensor.isfinite().all():
            raise InputError(
                f"{file}: {name} holds NaN or infinite numbers; fetch the autoencoder again"
            )
    return tensors
