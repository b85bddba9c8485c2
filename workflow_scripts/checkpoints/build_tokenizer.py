"""Build the word-level tokenizer of the synthetic language, in Hugging Face format."""

import argparse
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.synthetic_language import DOCUMENT_END, PADDING, UNKNOWN, vocabulary


def build_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """One token a word, in the order given."""
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        bos_token=DOCUMENT_END,
        eos_token=DOCUMENT_END,
    )


def main() -> None:
    """Parse, build, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="directory")
    arguments = parser.parse_args()

    tokenizer = build_tokenizer(vocabulary())
    with whole_directory(arguments.output) as partial:
        tokenizer.save_pretrained(partial)
    log.info("%d words", len(tokenizer))


if __name__ == "__main__":
    run_program(main)
