"""Capturing the pieces of the prompts that fall to one job; see `activation_pieces`."""

import argparse

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activation_pieces import cut_into_pieces, new_piece
from dpo_neurons.batches import first_batch_size
from dpo_neurons.capture import CountedSums
from dpo_neurons.generation import generate_greedily, token_counts
from dpo_neurons.progress import Progress
from dpo_neurons.shards import pieces_of_shard


def capture_pieces(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    capture: CountedSums,
    asked: argparse.Namespace,
    attributes: dict[str, str],
    means_only: bool = False,
) -> None:
    """Continue the prompts of each piece asked for, and write what `capture` summed meanwhile.

    asked: the arguments of `piece_arguments`, tokens and batch_size. attributes, means_only: as
    for `new_piece`.
    Raises InputError for a prompt too long for the model, and sums that are NaN or infinite.
    """
    pieces = cut_into_pieces(token_counts(tokenizer, prompts), asked.pieces)
    batch_size = first_batch_size(asked.batch_size, model.device)
    own = [pieces[number] for number in pieces_of_shard(asked.pieces, asked.shard, asked.shards)]
    with Progress(total=sum(map(len, own)), desc="capturing", unit="prompt") as bar:
        for index, path in zip(own, asked.output, strict=True):
            with new_piece(path, index, asked.tokens, attributes, means_only) as piece:
                for batch in generate_greedily(
                    model,
                    tokenizer,
                    [prompts[each] for each in index],
                    asked.tokens,
                    batch_size,
                    capture,
                    progress=None,
                ):
                    sums = {name: each.cpu().numpy() for name, each in capture.sums.items()}
                    piece.add(batch.start, batch.tokens, batch.mask, sums)
                    bar.update(len(batch.tokens))
