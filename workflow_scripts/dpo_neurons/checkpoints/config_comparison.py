"""What the configurations of two checkpoints say differently about what a model computes."""

import re
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from dpo_neurons.errors import InputError

SHAPE = (
    "model_type", "num_hidden_layers", "n_layer", "hidden_size", "n_embd", "intermediate_size",
    "n_inner", "ffn_dim", "num_attention_heads", "n_head", "num_key_value_heads", "head_dim",
)  # fmt: skip
"""Keys by which neuron i of a layer is the same neuron in both checkpoints."""
ACTIVATION = ("hidden_act", "hidden_activation", "activation_function")
"""Keys that say what an activation is."""
NO_MEANING = re.compile(
    r"_?name_or_path|architectures|transformers_version|.*dtype|use_cache|.*token_ids?|.*dropout.*"
    r"|.*pdrop|initializer.*|.*label.*|problem_type|return_dict|output_.*|chunk_size.*|summary_.*"
    r"|_attn_implementation.*|_experts_implementation.*|vocab_size|layerdrop|is_encoder_decoder"
    r"|pretraining_tp|task_specific_params|gradient_checkpointing"
)
"""Keys without a say in what a model in evaluation computes, and those compared elsewhere."""


def compare_configs(
    first: PretrainedConfig, second: PretrainedConfig, checkpoint: Path
) -> dict[str, dict[str, Any]]:
    """Find what two configurations say differently: by key, the values of `pre` and `post`.

    Only keys that transformers' class knows count, with its defaults filled in. checkpoint: the
    second one's, for the error message.
    Raises InputError where the models have other shapes or other activation functions, since a
    neuron of one is then none of the other.
    """
    known = type(first)().to_dict().keys()
    keys_pre, keys_post = first.to_dict(), second.to_dict()
    differences = {
        key: {"pre": keys_pre.get(key), "post": keys_post.get(key)}
        for key in sorted(known | {"model_type"})
        if keys_pre.get(key) != keys_post.get(key) and not NO_MEANING.fullmatch(key)
    }
    for key in (*SHAPE, *ACTIVATION):
        if key in differences:
            values = differences[key]
            raise InputError(
                f"{checkpoint}/config.json: {key} is {values['post']!r}, and {values['pre']!r} in "
                "the first checkpoint, so a neuron of one is none of the other; give a checkpoint "
                "that was tuned from the first, with its own config.json"
            )
    return differences
