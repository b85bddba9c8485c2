"""Division of a capture's pieces among the jobs that share it."""

PIECES = 8
"""Number of pieces of the prompts; the schema allows at most that many shards."""


def pieces_of_shard(pieces: int, shard: int, shards: int) -> range:
    """Return the numbers, from 0 on, of a shard's pieces; shards count from 1."""
    return range(shard - 1, pieces, shards)
