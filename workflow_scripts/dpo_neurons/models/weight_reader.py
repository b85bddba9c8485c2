"""Weights read straight from a checkpoint's files, by name: no model is built, no GPU needed."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import check_as_recorded
from dpo_neurons.models.weight_files import lacking_tensor, locate_tensors, unreadable_file

NUMBER_FORMATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""Number formats of weights; others, 8-bit floats too, are codes that need a scale."""


class StoredWeights:
    """The tensors of a checkpoint, by name, each read when it is asked for.

    Raises InputError for files that are missing or damaged.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        check_as_recorded(checkpoint, torch.get_num_threads())
        self._files = locate_tensors(checkpoint)

    @property
    def names(self) -> list[str]:
        """The names under which the tensors are stored."""
        return list(self._files)

    def stored_name(self, name: str) -> str | None:
        """The name under which a tensor of the causal model is stored, or None.

        Checkpoints saved from the bare model lack the causal model's prefix.
        """
        bare = name.partition(".")[2]
        return next((candidate for candidate in (name, bare) if candidate in self._files), None)

    def read(self, stored_name: str) -> np.ndarray:
        """Read a tensor, float64.

        Raises InputError if it holds no floating-point numbers: quantised codes are no weights.
        """
        with self._file_of(stored_name) as tensors:
            return self._numbers(stored_name, tensors.get_tensor(stored_name), torch.float64)

    def read_rows(self, stored_name: str, first: int, last: int) -> np.ndarray:
        """Read rows `first` to `last`, exclusive, of a matrix, float32: a piece of a large one.

        Raises InputError if it holds no floating-point numbers.
        """
        with self._file_of(stored_name) as tensors:
            rows = tensors.get_slice(stored_name)[first:last]
        return self._numbers(stored_name, rows, torch.float32)

    def shape(self, stored_name: str) -> tuple[int, ...]:
        """Shape of a tensor, which is not read for it."""
        with self._file_of(stored_name) as tensors:
            return tuple(tensors.get_slice(stored_name).get_shape())

    def _file_of(self, stored_name: str) -> safe_open:
        file = self._files[stored_name]
        try:
            tensors = safe_open(file, framework="pt")
        except (OSError, SafetensorError) as error:
            raise unreadable_file(file, error) from error
        if stored_name not in set(tensors.keys()):  # type: ignore[no-untyped-call]
            raise lacking_tensor(file, stored_name)
        return tensors

    def _numbers(self, stored_name: str, tensor: torch.Tensor, dtype: torch.dtype) -> np.ndarray:
        if tensor.dtype not in NUMBER_FORMATS:
            raise InputError(
                f"{self._files[stored_name]}: {stored_name} holds {tensor.dtype} codes of a "
                "quantised model, which are no weights; use the checkpoint before quantisation"
            )
        return tensor.to(dtype).numpy()
