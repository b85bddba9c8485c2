"""The files that a study's rows are run from, made for a model with random weights.

Rows are those of a configuration, planned by the workflow's own program from a table of neurons
with random activations and directions.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import PROJECT
from workloads import make_prompts, make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from dpo_neurons.study.study import Study

PROGRAMS = PROJECT / "workflow_scripts"
TABLES = ("nothing", "contributions", "neurons")
"""What plans may need of a study here. Heads, rankings and shifts of the stream are not made."""


@dataclass(frozen=True)
class Texts:
    """How much text the rows read."""

    prompts: int
    references: int
    windows: int
    window: int
    answers: int
    """Tokens of the second checkpoint's answers."""


def read_study(configuration: Path) -> Study:
    """Read a configuration, with its defaults."""
    import yaml

    from dpo_neurons.study.schema import check_schema
    from dpo_neurons.study.study import Study

    config = yaml.safe_load(configuration.read_text())
    check_schema(config, configuration.name)
    return Study(config)


def entries_of(study: Study, names: list[str]) -> list[str]:
    """List the entries to run: those named, or for "all" those that can be planned here."""
    if names != ["all"]:
        return names
    return [entry for entry, rows in study.rows_by_entry.items() if can_be_made(rows)]


def can_be_made(rows: dict[str, dict[str, Any]]) -> bool:
    """Return whether an entry's rows need no other file, and no second model token by token."""
    from dpo_neurons.study.intervention_rows import (
        needs_of_plan,
        ranking_of,
        source_stage,
        steered_along,
    )

    return all(
        needs_of_plan(row) in TABLES
        and ranking_of(row) is None
        and source_stage(row) is None
        and steered_along(row) in (None, "direction")
        and "file" not in row
        for row in rows.values()
    )


def write_study(
    folder: Path, model: PreTrainedModel, study: Study, entries: list[str], texts: Texts
) -> int:
    """Write checkpoints, texts, tables and the entries' plans; return the number of rows."""
    import numpy as np
    import torch

    from dpo_neurons.directions.direction_files import write_direction
    from dpo_neurons.models.architectures import Layers

    layers, vocabulary = Layers.of(model), model.config.vocab_size
    tokenizer = make_tokenizer(vocabulary)
    for stage in ("pre", "post"):
        model.save_pretrained(folder / stage)
        tokenizer.save_pretrained(folder / stage)
        with torch.no_grad():
            model.get_input_embeddings().weight[0, 0] += 1e-3
    random = np.random.default_rng(0)
    write_direction(folder / "direction.safetensors", random.normal(size=layers.d_model), {})
    write_tables(folder, len(layers.blocks), layers.d_mlp)
    write_texts(folder, vocabulary, texts)
    checkpoints = [f"--checkpoint-{stage}={folder / stage}" for stage in ("pre", "post")]
    run("checkpoints/check_pair", *checkpoints, "--threads=1", f"--output={folder / 'pair.json'}")
    return sum(write_entry(folder, study, entry) for entry in entries)


def write_tables(folder: Path, n_layers: int, d_mlp: int) -> None:
    """Write contributions and neurons whose numbers are random."""
    import numpy as np

    from dpo_neurons.files.tables import write_table
    from dpo_neurons.neurons.contributions import compute_contributions
    from dpo_neurons.neurons.neuron_table import describe_neurons

    random = np.random.default_rng(1)
    shape = n_layers, d_mlp
    before, components = random.normal(0, 0.1, shape), random.normal(0, 0.1, shape)
    after = before + random.normal(0, 0.01, shape)
    norms = np.ones(shape)
    contributions = compute_contributions(before, after, components, components, norms, "v1")
    write_table(folder / "contributions.parquet", contributions)
    write_table(folder / "neurons.parquet", describe_neurons(components, norms, before))


def write_texts(folder: Path, vocabulary: int, texts: Texts) -> None:
    """Write prompts, references, text and answers of random words."""
    import numpy as np

    from dpo_neurons.files.jsonl import write_jsonl

    random = np.random.default_rng(2)
    prompts = make_prompts(texts.prompts, vocabulary)
    write_jsonl(folder / "challenge.jsonl", [{"prompt": prompt} for prompt in prompts])
    references = make_prompts(texts.references, vocabulary)
    write_jsonl(
        folder / "references.jsonl", [{"prompt": text, "gold": "w1"} for text in references]
    )
    words = random.integers(0, vocabulary - 3, texts.window * texts.windows)
    write_jsonl(folder / "text.jsonl", [{"text": " ".join(f"w{word}" for word in words)}])
    answers = random.integers(3, vocabulary, (texts.prompts, texts.answers)).tolist()
    write_jsonl(
        folder / "answers.jsonl",
        [
            {"intervention": "dpo", "prompt": prompt, "continuation": "w1", "tokens": tokens}
            for prompt, tokens in zip(prompts, answers, strict=True)
        ],
    )


def write_entry(folder: Path, study: Study, entry: str) -> int:
    """Write an entry's plans, and how its rows run; return the number of rows."""
    from dpo_neurons.study.intervention_rows import counts_layers, needs_length, needs_of_plan
    from dpo_neurons.study.program_options import plan_options, run_options

    rows = study.rows_by_entry[entry].values()
    tables = {needs_of_plan(row) for row in rows} - {"nothing"}
    files = {table: f"{table}.parquet" for table in tables}
    if any(map(counts_layers, rows)):
        files["checkpoint"] = "pre"
    if any(map(needs_length, rows)):
        files["direction"] = "direction.safetensors"
    given = [f"--{option}={folder / file}" for option, file in files.items()]
    (folder / entry).mkdir()
    output = f"--output={folder / entry / 'plans.parquet'}"
    run("interventions/write_plans", *shlex.split(plan_options(study, entry)), *given, output)
    _, how = shlex.split(run_options(study, entry))
    (folder / entry / "rows.json").write_text(how)
    (folder / entry / "stage").write_text(study.stage(entry))
    return len(json.loads(how))


def run(program: str, *arguments: str) -> None:
    """Run one of the workflow's programs."""
    command = [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments]
    subprocess.run(command, check=True, capture_output=True)
