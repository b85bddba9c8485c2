"""An activation cache written from one piece that holds all prompts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpo_neurons.activations.cache import gather_pieces
from dpo_neurons.activations.pieces import PieceWriter, write_piece


@contextmanager
def new_cache(
    path: Path,
    n_prompts: int,
    n_tokens: int,
    attributes: dict[str, str],
) -> Iterator[PieceWriter]:
    """Take batches in the block; the cache is at `path` when the block ends well."""
    piece = path.with_name(f"{path.stem}.piece-1.h5")
    try:
        with write_piece(piece, range(n_prompts), n_tokens, attributes) as writer:
            yield writer
        gather_pieces([piece], path)
    finally:
        piece.unlink(missing_ok=True)
