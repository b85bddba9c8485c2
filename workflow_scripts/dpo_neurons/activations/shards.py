"""How the pieces of a capture fall to the jobs that share it."""

PIECES = 8
"""That the prompts are cut into, and so the most shards that a study may ask for, in its schema."""


def pieces_of_shard(pieces: int, shard: int, shards: int) -> range:
    """Numbers, from 0 on, of the pieces that fall to a shard, counted from 1."""
    return range(shard - 1, pieces, shards)
