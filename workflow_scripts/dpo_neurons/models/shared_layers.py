"""Blocks below a change of the model: they read a batch once, for all changes above them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.models.architectures import Layers

BlockOutput = Tensor | tuple[Tensor, ...]
"""Some blocks return only the residual stream, others a tuple that begins with it."""


class SharedLayers:
    """One batch that a model reads several times, each time changed from some layer on.

    Blocks below the lowest changed layer give the same each time. They run in the first reading;
    each later one begins with what the last of them gave.
    """

    def __init__(self, model: PreTrainedModel, starts: Iterable[int]) -> None:
        """Take the lowest changed layer of each reading.

        It is 0 where nothing can be shared, and the number of layers where no block is changed.
        """
        self._blocks = Layers.of(model).blocks
        self._starts = set(starts)
        self._outputs: dict[int, BlockOutput] = {}
        """By start: what the last block below it gave."""
        self._highest: int | None = None

    @contextmanager
    def read_from(self, start: int) -> Iterator[None]:
        """Run the block, in which the model, changed from layer `start` on, reads the batch once.

        Raises ValueError unless the first reading is the one with the highest start.
        """
        with ExitStack() as stack:
            if self._highest is None:
                self._highest = start
                for later in self._starts:
                    if 0 < later <= start:
                        stack.callback(self._record(later))
            elif start > self._highest:
                raise ValueError(f"layer {start} comes after layer {self._highest}, the first one")
            for block in self._blocks[:start] if start in self._outputs else ():
                stack.callback(_replace_forward(block, self._outputs[start]))
            yield

    def read_unchanged(self) -> AbstractContextManager[None]:
        """Make a block in which the model reads the batch as it is."""
        return self.read_from(len(self._blocks))

    def _record(self, start: int) -> Callable[[], object]:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: BlockOutput) -> None:
            self._outputs[start] = output

        return self._blocks[start - 1].register_forward_hook(record).remove


def _replace_forward(block: nn.Module, output: BlockOutput) -> Callable[[], object]:
    """Let a block return a given output; return the function that undoes that."""

    def give(*inputs: object, **named: object) -> BlockOutput:
        return output

    # accelerate sets a block's own forward too, where a model is spread over several devices.
    before = vars(block).get("forward")
    vars(block)["forward"] = give

    def undo() -> None:
        if before is None:
            del vars(block)["forward"]
        else:
            vars(block)["forward"] = before

    return undo
