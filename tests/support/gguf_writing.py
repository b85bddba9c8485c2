"""Writing a tiny Llama as llama.cpp's converter does."""

from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Format
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from support.tiny_models import GATED, randomise

WIDTH = 32
"""Quantised rows are blocks of 32 numbers."""
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = ["<unk>", "<s>", "</s>", *ALPHABET, "ab", "abab"]
MERGES = ["a b", "ab ab"]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def small_llama() -> LlamaForCausalLM:
    """A random Llama with rows of whole blocks, and tied embeddings."""
    torch.manual_seed(0)
    shape = {**GATED, "hidden_size": WIDTH, "intermediate_size": 64, "vocab_size": len(TOKENS)}
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    model = LlamaForCausalLM(LlamaConfig(**{**shape, **special, "tie_word_embeddings": True}))
    randomise(model, 0.3)
    return model.eval()


def turned(weight: np.ndarray, heads: int) -> np.ndarray:
    """A query or key matrix as llama.cpp has it: the halves of each head's rotation interleaved."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(
    path: Path,
    model: PreTrainedModel,
    number_format: Format = Format.F32,
    without: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
    """Write a Llama; returns its weights by name, as they are once dequantised."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if "tokenizer" not in without:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(TOKENS)
        writer.add_token_types([3] * 3 + [1] * (len(TOKENS) - 3))
        writer.add_token_merges(MERGES)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
    written = {}
    for name, tensor in model.named_parameters():
        stem, _, kind = name.removeprefix("model.").rpartition(".")
        if stem.startswith("layers."):
            _, layer, inner = stem.split(".", 2)
            stem = f"blk.{layer}.{NAMES[inner]}"
        else:
            stem = {"embed_tokens": "token_embd", "norm": "output_norm"}[stem]
        array = tensor.detach().numpy()
        if "attn_q" in stem or "attn_k" in stem:
            n_heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
            array = turned(array, getattr(config, n_heads[stem.rpartition(".")[2]]))
        if stem in without:
            continue
        own = number_format if array.ndim == 2 else Format.F32
        stored = gguf.quants.quantize(array, own)
        written[name] = gguf.quants.dequantize(stored, own)
        writer.add_tensor(f"{stem}.{kind}", stored, raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written
