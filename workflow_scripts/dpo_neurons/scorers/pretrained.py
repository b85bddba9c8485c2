"""Loading the models of scorers, and their tokenizers, from a directory."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.files.provenance import check_as_recorded
from dpo_neurons.models.loading import tells_of_damage


def load_weights(
    directory: Path,
    auto_class: Any,  # noqa: ANN401 - transformers' own classes have no common type
    dtype: torch.dtype,
    what: str,
) -> Any:  # noqa: ANN401
    """Load a model whose every weight is in a directory, ready for inference.

    auto_class: the class of transformers that loads it. what: how messages call such a model.
    Raises InputError for a directory that holds none, damaged files and missing weights.
    """
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory}: no config.json in it; set the scorer's path to a directory as written "
            "by save_pretrained"
        )
    read_json(directory / "config.json", f"fetch or make the {what} again")
    check_as_recorded(directory, torch.get_num_threads())
    try:
        model, report = auto_class.from_pretrained(
            directory,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # damaged files make transformers raise whatever there is
        raise InputError(
            f"{directory}: cannot load a {what} ({_one_line(error)}); fetch or make "
            "it again, or choose another scorer"
        ) from error
    if report["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise InputError(
            f"{directory}: the weights {sorted(report['missing_keys'])[0]!r} of the {what} "
            "are missing; fetch or make it again, or choose another scorer"
        )
    return model.eval()


def load_padding_tokenizer(directory: Path, side: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer that pads on one side, left or right, for batches.

    Raises InputError for a directory that holds none, and for one without a token to pad with.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        tokenizer("a")  # parts that contradict each other fail at the first text
    except BaseException as error:
        if not tells_of_damage(error):
            raise
        raise InputError(
            f"{directory}: cannot load a tokenizer ({_one_line(error)}); copy the tokenizer's "
            "files into it"
        ) from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        # transformers makes an empty tokenizer where there are no files.
        raise InputError(f"{directory}: no tokenizer in it; copy the tokenizer's files into it")
    tokenizer.padding_side = side
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise InputError(
            f"{directory}: the tokenizer has no padding token; name one as pad_token in "
            "tokenizer_config.json"
        )
    return tokenizer


def check_vocabulary(directory: Path, model: PreTrainedModel, largest: int) -> None:
    """Check that a model knows a tokenizer's tokens; largest: the largest id that texts have.

    Raises InputError if it does not.
    """
    known = len(model.get_input_embeddings().get_parameter("weight"))
    if largest >= known:
        raise InputError(
            f"{directory}: the tokenizer gives token {largest}, but the model knows "
            f"{known}; the tokenizer is another model's, so copy the right files"
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
