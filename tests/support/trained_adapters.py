"""PEFT adapters of random numbers, saved as training leaves them."""

import torch
from peft import LoraConfig, get_peft_model

from dpo_neurons.models.loading import load_trainable_model
from support.tiny_models import randomise

LLAMA = ["gate_proj", "up_proj", "down_proj", "q_proj", "v_proj"]


def trained_adapter(checkpoint, directory, config):
    """Save an adapter of random numbers; returns the adapted model."""
    torch.manual_seed(3)
    return _save_random_adapter(load_trainable_model(checkpoint, "float32"), directory, config)


def lora(targets, **settings):
    return LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=7, target_modules=targets, **settings)


def adapter_on_resized(checkpoint, directory, config, rows):
    """As `trained_adapter`, on a model whose vocabulary was resized first."""
    torch.manual_seed(4)
    model = load_trainable_model(checkpoint, "float32")
    model.resize_token_embeddings(rows)
    randomise(model.get_input_embeddings(), 0.3)
    return _save_random_adapter(model, directory, config)


def _save_random_adapter(model, directory, config):
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    adapted.save_pretrained(directory)
    return adapted.eval()
