"""Keys and values of the tokens that a model has read, with room for those to come.

transformers' own cache copies the keys and values of all earlier tokens to append those of one.
"""

from copy import copy, deepcopy

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer


class PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer; tokens are appended without a copy of the earlier ones.

    `keys` and `values`, (batch, heads, tokens, width), are views of larger tensors. They have the
    values that transformers' layer has.
    """

    def __init__(self, room: int) -> None:
        """Take the number of tokens to allocate room for beyond those of the first update."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room
        self._memory: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **named: object
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values, (batch, heads, new, width); return those of all tokens."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new, start = (key_states, value_states), self.get_seq_length()
        stop = start + key_states.shape[-2]
        if not self._memory or stop > self._memory[0].shape[-2]:
            self._memory = [
                states.new_empty((*states.shape[:-2], stop + self._room, states.shape[-1]))
                for states in new
            ]
            for memory, earlier in zip(self._memory, (self.keys, self.values), strict=True):
                if start and earlier is not None:
                    memory[..., :start, :] = earlier
        for memory, states in zip(self._memory, new, strict=True):
            memory[..., start:stop, :] = states
        self.keys, self.values = (memory[..., :stop, :] for memory in self._memory)
        return self.keys, self.values

    def branch(self, room: int) -> "PreallocatedLayer":
        """Return a layer that continues from the same tokens; the first update copies them."""
        layer = copy(self)
        layer._room, layer._memory = room, []
        return layer


def make_cache(config: PreTrainedConfig, room: int) -> DynamicCache:
    """Make an empty cache; layers without a sliding window get room for `room` more tokens."""
    cache = DynamicCache(config=config)
    cache.layers = [
        PreallocatedLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def branch_cache(cache: DynamicCache, room: int) -> DynamicCache:
    """Return a cache that continues from the same tokens and leaves the given one as it is."""
    branch = copy(cache)
    branch.layers = [
        layer.branch(room) if isinstance(layer, PreallocatedLayer) else deepcopy(layer)
        for layer in cache.layers
    ]
    return branch
