"""Plain generation, as transformers does it, and the project's capture while generating."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

    from dpo_neurons.activation_pieces import PieceWriter

PIECES = 8
ATTRIBUTES = {"model": "bench", "revision": "", "dtype": "", "positions": "generated"}


def generate_plainly(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, BatchEncoding, torch.Tensor]]:
    """Greedy continuations by `model.generate` alone, in batches of prompts as they come.

    Yields each batch's first index, its prompts as (batch, length), and what was generated,
    prompts included.
    """
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
    )
    for start in range(0, len(prompts), batch_size):
        batch = tokenizer(
            prompts[start : start + batch_size], padding=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                generation_config=config,
            )
        yield start, batch, output


def exhaust(run: Callable[..., Iterator[object]], *job: object) -> None:
    """Run something that yields batches to its end."""
    for _ in run(*job):
        pass


def capture_ours(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
    sort: bool = False,
    means_only: bool = False,
) -> None:
    """What the workflow does once the model is loaded: generate, read, write the cache.

    sort: the longest prompts first and in pieces, as the workflow has them; else as they come.
    """
    from dpo_neurons.activation_cache import gather_pieces
    from dpo_neurons.activation_pieces import cut_into_pieces, new_piece
    from dpo_neurons.capture import ActivationCapture
    from dpo_neurons.generation import generate_greedily, token_counts

    cut = [list(range(len(prompts)))]
    if sort:
        cut = [each for each in cut_into_pieces(token_counts(tokenizer, prompts), PIECES) if each]
    paths = [path.with_suffix(f".piece-{number}.h5") for number in range(len(cut))]
    with ActivationCapture(model, "generated") as capture:
        for index, one in zip(cut, paths, strict=True):
            chosen = [prompts[each] for each in index]
            with new_piece(one, index, tokens, ATTRIBUTES, means_only) as piece:
                for batch in generate_greedily(
                    model, tokenizer, chosen, tokens, batch_size, capture
                ):
                    sums = {name: each.cpu().numpy() for name, each in capture.sums.items()}
                    piece.add(batch.start, batch.tokens, batch.mask, sums)
    gather_pieces(paths, path)
    for one in paths:
        one.unlink()


@contextmanager
def cache_at(path: Path, n_prompts: int, tokens: int) -> Iterator[PieceWriter]:
    """The project's own cache file for another way of capturing to fill, the prompts in order."""
    from dpo_neurons.activation_cache import gather_pieces
    from dpo_neurons.activation_pieces import new_piece

    piece = path.with_suffix(".piece.h5")
    with new_piece(piece, range(n_prompts), tokens, ATTRIBUTES) as writer:
        yield writer
    gather_pieces([piece], path)
    piece.unlink()
