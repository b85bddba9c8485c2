"""PEFT adapters, merged into the model that they were trained on."""

from pathlib import Path

from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedModel

from dpo_neurons.errors import InputError


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """The model with an adapter's directory merged into its weights.

    Raises InputError for an adapter that is damaged, or made for a model of another shape.
    """
    try:
        return PeftModel.from_pretrained(model, adapter, local_files_only=True).merge_and_unload()
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{adapter}: cannot be merged into the first checkpoint ({reason}); give the adapter "
            "that was trained on this very model"
        ) from error
