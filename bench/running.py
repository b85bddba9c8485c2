"""Plain generation with transformers, and this project's capture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

    from dpo_neurons.activations.pieces import PieceWriter

ATTRIBUTES = {"model": "bench", "revision": "", "dtype": "", "positions": "generated"}


def generate_plainly(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, BatchEncoding, torch.Tensor]]:
    """Continue prompts greedily with `model.generate`, in batches in the given order.

    Yields each batch's first index, its prompts, (batch, length), and the generated tokens with
    the prompts before them.
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
    """Run a generator of batches to its end."""
    for _ in run(*job):
        pass


def capture_ours(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
) -> None:
    """Capture as the workflow does, but with prompts in the given order."""
    from dpo_neurons.activations.capture import ActivationCapture
    from dpo_neurons.models.generation import generate_greedily

    with (
        cache_at(path, len(prompts), tokens) as piece,
        ActivationCapture(model, "generated") as capture,
    ):
        for batch in generate_greedily(model, tokenizer, prompts, tokens, batch_size, capture):
            sums = {name: tensor.cpu().numpy() for name, tensor in capture.sums.items()}
            piece.add(batch.start, batch.tokens, batch.mask, sums)


def capture_as_the_workflow(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
) -> None:
    """Capture exactly as the workflow does: in pieces, with the longest prompts first."""
    from dpo_neurons.activations.cache import gather_pieces
    from dpo_neurons.activations.capture import ActivationCapture
    from dpo_neurons.activations.pieces import Share, capture_pieces
    from dpo_neurons.activations.shards import PIECES

    pieces = [path.with_suffix(f".piece-{number}.h5") for number in range(PIECES)]
    share = Share(pieces=PIECES, shard=1, shards=1, paths=pieces)
    with ActivationCapture(model, "generated") as capture:
        capture_pieces(model, tokenizer, prompts, capture, tokens, batch_size, share, ATTRIBUTES)
    gather_pieces(pieces, path)
    for piece in pieces:
        piece.unlink()


@contextmanager
def cache_at(path: Path, n_prompts: int, tokens: int) -> Iterator[PieceWriter]:
    """Write a cache of the project as a single piece, with the prompts in order."""
    from dpo_neurons.activations.cache import gather_pieces
    from dpo_neurons.activations.pieces import write_piece

    piece = path.with_suffix(".piece.h5")
    with write_piece(piece, range(n_prompts), tokens, ATTRIBUTES) as writer:
        yield writer
    gather_pieces([piece], path)
    piece.unlink()
