"""A finished study in a notebook: data frames and charts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import read_csv, read_table

if TYPE_CHECKING:  # loaded where they are needed
    import altair as alt
    import h5py


def open_study(folder: Path | str) -> StudyResults:
    """Open the results of a study, such as "results/toy".

    Each method of the result reads its own files.
    Raises InputError if the folder does not hold the results of a study.
    """
    results = StudyResults(Path(folder))
    if not results.models:
        raise InputError(
            f"{folder}: not the results of a study (it has no groups/); give the folder that "
            "`snakemake figures` made, such as results/toy"
        )
    return results


@dataclass(frozen=True)
class StudyResults:
    """The results of one study, read from its folder.

    Every method raises InputError for a file that is missing or damaged.
    """

    folder: Path

    @property
    def models(self) -> list[str]:
        """Return the names of the study's models."""
        return _stems(self.folder / "groups", folders=True)

    def directions(self, model: str) -> list[str]:
        """Return the names of a model's directions."""
        return _stems(self.folder / "directions" / model)

    @property
    def interventions(self) -> pd.DataFrame:
        """Return one row per intervention: kind, control_of, settings."""
        return read_csv(self._file("interventions.csv"), texts=["layer"])

    def table(self, model: str) -> pd.DataFrame:
        """Return one row per intervention: its metrics with their intervals."""
        return read_csv(self._file(f"tables/{model}.csv"), texts=["layer"])

    def tests(self, model: str) -> pd.DataFrame:
        """Return a row for each paired comparison of two interventions."""
        return read_csv(self._file(f"tables/{model}.tests.csv"))

    def faithfulness(self, model: str) -> pd.DataFrame:
        """Return one row per intervention: divergences from both unchanged models."""
        return read_csv(self._file(f"tables/{model}.faithfulness.csv"))

    def random_sets(self, model: str) -> pd.DataFrame:
        """Return a row for each intervention that is compared with random sets of neurons."""
        return read_csv(self._file(f"tables/{model}.random_sets.csv"), may_be_empty=True)

    def verdicts(self, model: str) -> pd.DataFrame:
        """Return one row per intervention: the answers to five questions, and the verdict."""
        return read_csv(self._file(f"tables/{model}.verdicts.csv"))

    def comparison(self) -> pd.DataFrame:
        """Return a row for each number in the comparison of models."""
        return read_csv(self._file("tables/comparison.csv"))

    def contributions(self, model: str, direction: str) -> pd.DataFrame:
        """Return one row per neuron: its activations, reduction, group and rank."""
        path = self._file(f"contributions/{model}/{direction}.parquet")
        return read_table(path, ("layer", "neuron", "reduction"), "contributions need")

    def groups(self, model: str, direction: str) -> pd.DataFrame:
        """Return one row per neuron group: neurons, reduction, share, intervals."""
        return read_csv(self._file(f"groups/{model}/{direction}.csv"))

    def plan(self, model: str, intervention: str) -> pd.DataFrame:
        """Return one row per change: layer, neuron, operation, value."""
        path = self._file(f"plans/{model}/{self._entry_of(intervention)}.parquet")
        columns = ("intervention", "layer", "neuron", "operation", "value")
        return _lines_of(intervention, read_table(path, columns, "plans need"))

    def generations(
        self, model: str, intervention: str, prompts: str = "challenge_prompts"
    ) -> pd.DataFrame:
        """Return one row per prompt: prompt, continuation and its token ids."""
        entry = self._entry_of(intervention)
        path = self._file(f"generations/{model}/{entry}/{prompts}.jsonl")
        lines = read_jsonl(path, ("intervention", "prompt", "continuation"))
        return _lines_of(intervention, pd.DataFrame(lines))

    def scores(self, model: str, intervention: str) -> pd.DataFrame:
        """Return one row per challenge continuation; toxicity comes first."""
        path = self._file(f"scores/{model}/{self._entry_of(intervention)}.parquet")
        return _lines_of(
            intervention, read_table(path, ("intervention", "toxicity"), "scores need")
        )

    def direction(self, model: str, direction: str) -> np.ndarray:
        """Return a direction's unit rows, (k, d_model) float64."""
        from dpo_neurons.directions.direction_files import read_direction

        return read_direction(self._file(f"directions/{model}/{direction}.safetensors"))

    def activations(self, model: str, capture: str = "pre") -> AbstractContextManager[h5py.File]:
        """Open an activation cache, for a `with` block.

        `cache["mlp_post_mean"][:]` is an array. capture: pre, post, or the name of an intervention
        with captured activations.
        """
        from dpo_neurons.activations.cache import open_cache

        return open_cache(self._file(f"activations/{model}/{capture}.h5"))

    def figure(self, model: str, figure: str) -> alt.TopLevelMixin:
        """Return a figure, such as "6_tradeoff", as an Altair chart.

        The model of figure 16 is "comparison".
        """
        import altair as alt

        path = self._file(f"figures/{model}/{figure}.json")
        return alt.Chart.from_json(path.read_text(encoding="utf-8"))

    def _entry_of(self, intervention: str) -> str:
        """Return the entry whose files hold a row; if there is no such row, raise InputError."""
        entries = self.interventions.set_index("intervention")["entry"]
        if intervention not in entries.index:
            raise InputError(
                f"{self.folder}: has no intervention {intervention!r}, but "
                f"{', '.join(entries.index)}"
            )
        return str(entries[intervention])

    def _file(self, name: str) -> Path:
        """Return a result's path; if it is missing, raise InputError."""
        path = self.folder / name
        if not path.is_file():
            there = ", ".join(_stems(path.parent, folders=True)) or "nothing"
            raise InputError(f"{path}: no such result; {path.parent} has {there}")
        return path


def _lines_of(intervention: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of one row out of its entry's table."""
    own = table[table["intervention"] == intervention]
    return own.drop(columns="intervention").reset_index(drop=True)


def _stems(folder: Path, folders: bool = False) -> list[str]:
    """Return the names in a folder of files, and of folders if asked, without endings."""
    if not folder.is_dir():
        return []
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted({path.stem for path in entries if folders or path.is_file()})
