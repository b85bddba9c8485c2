"""The pair of checkpoints of a model: what both say, and one way to read texts with both.

The tokenizer of the first checkpoint reads the texts of both. A text ends at any token that either
checkpoint names as its end, and both choose only among the tokens that both have.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.checkpoints.config_comparison import compare_configs
from dpo_neurons.checkpoints.end_tokens import read_end_tokens
from dpo_neurons.checkpoints.tokenizer_comparison import check_one_vocabulary, describe_differences
from dpo_neurons.errors import InputError
from dpo_neurons.files.checksums import check_as_written, record_checksum
from dpo_neurons.files.output_files import whole_file
from dpo_neurons.models.checkpoint_folder import check_weight_files, old_weights, read_architecture
from dpo_neurons.models.expected_weights import (
    check_decoding_defaults,
    check_stored_weights,
    load_config,
)
from dpo_neurons.models.loading import load_tokenizer
from dpo_neurons.models.tokenization import count_vocabulary, find_added_tokens
from dpo_neurons.models.weight_files import read_headers

STAGES = ("pre", "post")


@dataclass(frozen=True)
class Pair:
    """What was found of two checkpoints, and how both are read; as it stands in pair.json."""

    tokenizer: str
    """The stage whose tokenizer reads the texts of both: the first."""
    begins_with: list[int]
    """Ids that texts begin with."""
    end_tokens: list[int]
    """Ids that end a text, to both."""
    vocabulary: int
    """Tokens that both checkpoints have, from id 0 on; of other ids, neither chooses any."""
    notes: list[str]
    """A sentence for all in which the two differ, or their files disagree."""
    end_tokens_by_source: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By stage, then by what names them."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Tokens that each stage's model has vectors for."""
    config_differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By key of config.json: the values of `pre` and `post`."""
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    """By stage: tensors of each number format."""


def examine_pair(pre: Path, post: Path) -> Pair:
    """Look at two checkpoints, of which no weight is read, and decide how both are read.

    Raises InputError for a checkpoint that is not whole, and for two that cannot be compared:
    models of another shape or activation function, tokenizers of another vocabulary.
    """
    checkpoints = dict(zip(STAGES, (pre, post), strict=True))
    for checkpoint in checkpoints.values():
        check_checkpoint(checkpoint)
    configs = {stage: load_config(checkpoint) for stage, checkpoint in checkpoints.items()}
    differences = compare_configs(configs["pre"], configs["post"], post)
    tokens = {stage: int(config.vocab_size) for stage, config in configs.items()}
    tokenizers = {stage: load_tokenizer(checkpoint) for stage, checkpoint in checkpoints.items()}
    notes = check_one_vocabulary(tokenizers["pre"], tokenizers["post"], post)
    notes += describe_differences(tokenizers["pre"], tokenizers["post"])
    if notes:
        notes.append("the tokenizer of pre reads the texts of both")
    for stage in STAGES:
        _check_rows(tokenizers["pre"], tokens[stage], checkpoints[stage])
    ends = {
        stage: read_end_tokens(checkpoint, tokenizers[stage])
        for stage, checkpoint in checkpoints.items()
    }
    every_end = sorted(
        {token for named in ends.values() for ids in named.values() for token in ids}
    )
    weights = {stage: _count_formats(checkpoint) for stage, checkpoint in checkpoints.items()}
    notes += [
        f"{key} of config.json is {values['pre']!r} in pre and {values['post']!r} in post"
        for key, values in differences.items()
    ]
    notes += _describe_ends(ends, every_end, tokens)
    notes += _describe_rows(tokens)
    if weights["pre"].keys() != weights["post"].keys():
        formats = {stage: " and ".join(counts) or "unknown" for stage, counts in weights.items()}
        notes.append(f"the weights of pre are {formats['pre']}, those of post {formats['post']}")
    return Pair(
        tokenizer="pre",
        begins_with=find_added_tokens(tokenizers["pre"])[0],
        end_tokens=every_end,
        vocabulary=min(tokens.values()),
        notes=notes,
        end_tokens_by_source=ends,
        tokens=tokens,
        config_differences=differences,
        weights=weights,
    )


def check_checkpoint(checkpoint: Path) -> None:
    """Check that a folder holds one whole model of a known architecture, by headers alone.

    Raises InputError if it does not.
    """
    read_architecture(checkpoint)
    check_weight_files(checkpoint)
    check_stored_weights(checkpoint)
    check_decoding_defaults(checkpoint)


def apply_pair(model: PreTrainedModel, pair: Pair) -> None:
    """Let a model, either of a pair, end texts and choose tokens as the pair does.

    This changes the model's generation configuration, which `load_model` has emptied.
    """
    extra = range(pair.vocabulary, count_vocabulary(model))
    model.generation_config.eos_token_id = list(pair.end_tokens) or None
    model.generation_config.suppress_tokens = [
        token for token in extra if token not in pair.end_tokens
    ] or None


def format_pair(pair: Pair) -> str:
    """Format a pair as JSON, to be read by people too."""
    return json.dumps(asdict(pair), indent=2, ensure_ascii=False, default=str) + "\n"


def write_pair(path: Path, pair: Pair) -> None:
    """Write a pair as JSON, and the file's checksum to a hidden file beside it."""
    with whole_file(path) as partial:
        partial.write_text(format_pair(pair), encoding="utf-8")
        record_checksum(partial, path)


def read_pair(path: Path) -> Pair:
    """Read a pair that `write_pair` wrote.

    Raises InputError for a file that is missing, damaged or not as it was written.
    """
    try:
        pair = Pair(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        raise InputError(
            f"{path}: missing or damaged, not the description of a pair of checkpoints; delete it "
            "and run again"
        ) from None
    check_as_written(path)
    return pair


def _check_rows(tokenizer: PreTrainedTokenizerBase, rows: int, checkpoint: Path) -> None:
    """Raise InputError for ordinary tokens of the first tokenizer that a model lacks."""
    added = tokenizer.added_tokens_decoder
    beyond = [
        (number, token)
        for token, number in tokenizer.get_vocab().items()
        if number >= rows and number not in added
    ]
    if beyond:
        number, token = min(beyond)
        raise InputError(
            f"{checkpoint}: its model has vectors for {rows} tokens, but the first checkpoint's "
            f"tokenizer makes others too, such as {number}, {token!r}; give the tokenizer and the "
            "weights that belong together"
        )


def _count_formats(checkpoint: Path) -> dict[str, int]:
    if old_weights(checkpoint):
        return {}
    formats = Counter(header.dtype for header in read_headers(checkpoint).values())
    return dict(sorted(formats.items()))


def _describe_ends(
    ends: dict[str, dict[str, list[int]]], every_end: list[int], tokens: dict[str, int]
) -> list[str]:
    """Say that the files name different end tokens, that one cannot be chosen, or that none is."""
    if not every_end:
        return ["no file names a token that ends texts, so texts never end early"]
    sources = [
        f"{ids} by {source} of {stage}"
        for stage, named in ends.items()
        for source, ids in named.items()
    ]
    notes = []
    if any(set(ids) != set(every_end) for named in ends.values() for ids in named.values()):
        notes.append(
            f"end tokens differ ({'; '.join(sources)}); texts of both checkpoints end at any of "
            f"{every_end}"
        )
    beyond = [token for token in every_end if token >= max(tokens.values())]
    if beyond:
        notes.append(f"end tokens {beyond} lie beyond the vocabulary, so no text ends at them")
    return notes


def _describe_rows(tokens: dict[str, int]) -> list[str]:
    """Say that the checkpoints have vocabularies of different sizes."""
    if tokens["pre"] == tokens["post"]:
        return []
    return [
        f"pre has vectors for {tokens['pre']} tokens and post for {tokens['post']}; both choose "
        f"among the {min(tokens.values())} that both have, and perplexity is over these"
    ]
