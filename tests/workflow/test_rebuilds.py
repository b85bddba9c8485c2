"""Changed code and changed files rebuild what depends on them, and nothing else."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from support.changed_code import change_body
from support.micro_jobs import (
    ABLATED_CAPTURE,
    CAPTURES,
    CONTRIBUTIONS,
    DATA,
    FAITHFULNESS,
    LISTED,
    MODEL,
    PROBE,
    RANDOM_RUNS,
    RUNS,
    SAMPLES,
    SCORES,
    SOURCES,
    TABLE,
)
from support.workflow import (
    RESULTS,
    changed_config,
    each,
    job_commands,
    snakemake,
    stale_jobs,
)

pytest_plugins = ["support.finished_study"]

CODE = [
    ("evaluation/text_metrics", "unigram_f1", TABLE | FAITHFULNESS),
    ("activations/cache", "gather_pieces", CAPTURES | RUNS),
    ("scorers/lexicon", "score_by_lexicon", SCORES),
    ("neurons/groups", "assign_groups", CONTRIBUTIONS),
    ("models/perplexity", "sum_losses", RUNS),
    ("directions/probe", "train_probe", PROBE),
    ("activations/capture", "CountedSums.see_tokens", CAPTURES | RUNS | SAMPLES),
    ("directions/logit_lens", "tabulate_tokens", {"tabulate_logit_lens"}),
    ("study/source_table", "source_table", SOURCES),
    ("interventions/hooks", "prepare_plan", ABLATED_CAPTURE | RUNS | RANDOM_RUNS | SAMPLES),
    ("figures/style", "write_figure", {job for job in MODEL if re.fullmatch("draw_[a-z_]*", job)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "rebuilt"),
    [
        ("data/lexicon", SOURCES),
        # Its checksums stand for the checkpoint's content, which all that reads it depends on.
        ("checkpoints/toy/pre", MODEL - {"train_language_model"}),
        ("data/tokenizer", MODEL),
    ],
)
def test_a_changed_source_file_rebuilds_what_repeats_it(
    own_study: Path, source: str, rebuilt: set[str]
) -> None:
    path = own_study / RESULTS / f"{source}.source.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(facts | {"revision": "another"}), encoding="utf-8")
    assert stale_jobs(own_study) == rebuilt


@pytest.mark.parametrize(("module", "name", "rebuilt"), CODE, ids=[row[1] for row in CODE])
def test_a_changed_function_rebuilds_the_rules_that_run_it_and_what_follows(
    own_study: Path, module: str, name: str, rebuilt: set[str]
) -> None:
    change_body(own_study / f"workflow_scripts/dpo_neurons/{module}.py", name.split(".")[-1])
    assert stale_jobs(own_study) == rebuilt


def add_comments(path: Path) -> None:
    path.write_text(f"# A comment.\n{path.read_text(encoding='utf-8')}# One more.\n")


def change_docstrings(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    # Docstrings are sentences; statements of SQL begin in capitals.
    sentence = r'^( *)"""(?=[A-Z]?[a-z])'
    path.write_text(re.sub(sentence, r'\1"""Changed. ', source, flags=re.MULTILINE))


def reformat(path: Path) -> None:
    source = path.read_text(encoding="utf-8").replace("\n\n\ndef ", "\n\ndef ")
    path.write_text(re.sub(r",\n *(?=\w+: )", ", ", source), encoding="utf-8")


def test_code_that_does_the_same_rebuilds_nothing(own_study: Path) -> None:
    programs = sorted(own_study.glob("workflow_scripts/**/*.py"))
    for change in (add_comments, change_docstrings, reformat):
        before = [path.read_bytes() for path in programs]
        for path in programs:
            change(path)  # writes every file, and so touches it
        assert sum(p.read_bytes() != old for p, old in zip(programs, before, strict=True)) > 20
    assert stale_jobs(own_study) == set()


def test_touched_data_rebuilds_nothing(own_study: Path) -> None:
    later = time.time() + 100
    for path in own_study.glob(f"{RESULTS}/data/*.json*"):
        os.utime(path, (later, later))
    assert stale_jobs(own_study) == set()


def test_folders_with_other_times_rebuild_nothing(own_study: Path) -> None:
    """As after a copy that keeps no times: each folder is newer than what was made of it."""
    results = own_study / RESULTS
    folders = [results / "data/tokenizer", *(results / "checkpoints/toy").glob("*/")]
    assert len(folders) == 3
    later = time.time() + 100
    for path in [*folders, *(file for folder in folders for file in folder.rglob("*"))]:
        os.utime(path, (later, later))
    assert stale_jobs(own_study) == set()


def test_a_copy_that_keeps_no_times_rebuilds_nothing(finished_study: Path, tmp_path: Path) -> None:
    def copy(source: str, target: str) -> str:
        times.append(times[-1] + 1)
        shutil.copy(source, target, follow_symlinks=False)
        os.utime(target, (times[-1], times[-1]), follow_symlinks=False)
        return target

    times = [time.time()]
    study = Path(shutil.copytree(finished_study, tmp_path / "study", True, copy_function=copy))
    assert len(times) > 300
    assert stale_jobs(study) == set()


def test_a_users_file_is_imported_again_when_its_content_changes_and_not_when_touched(
    own_study: Path,
) -> None:
    config = changed_config(
        own_study / "changed.yaml", ("data.lexicon", {"kind": "file", "path": "words.jsonl"})
    )
    words, imported = own_study / "words.jsonl", f"{RESULTS}/data/lexicon.jsonl"
    words.write_text('{"word": "oaf", "severity": 0.5}\n', encoding="utf-8")
    result = snakemake(own_study, imported, "--cores", "1", config=config)
    assert result.returncode == 0, result.stdout
    later = time.time() + 100
    os.utime(words, (later, later))
    assert stale_jobs(own_study, config, (imported,)) == set()
    words.write_text('{"word": "oaf", "severity": 0.9}\n', encoding="utf-8")
    os.utime(words, (later, later))
    assert stale_jobs(own_study, config, (imported,)) == {"import_data lexicon"}


def test_a_rebuild_writes_the_stale_files_and_no_others(own_study: Path) -> None:
    def times() -> dict[Path, int]:
        files = (path for path in (own_study / RESULTS).rglob("*") if path.is_file())
        return {path.relative_to(own_study / RESULTS): path.stat().st_mtime_ns for path in files}

    before = times()
    config = changed_config(own_study / "changed.yaml", ("figures.4_top_activations.top", 9))
    result = snakemake(own_study, "figures", "--cores", "1", config=config)
    assert result.returncode == 0, result.stdout
    after = times()
    stem = "figures/toy/4_top_activations"
    written = {path for path in after if after[path] != before.get(path)}
    assert {path.as_posix() for path in written} == {
        *(f"{stem}.{extension}" for extension in ("json", "html", "svg", "png")),
        "logs/draw_top_activations/toy.log",
        "benchmarks/draw_top_activations/toy.tsv",
    }
    assert after.keys() == before.keys()
    shown = json.dumps(json.loads((own_study / RESULTS / f"{stem}.json").read_text())["datasets"])
    assert len(re.findall(r'"neuron"', shown)) % 9 == 0
    assert stale_jobs(own_study, config) == set()


def test_everything_is_made_again_when_asked_for(finished_study: Path) -> None:
    result = snakemake(finished_study, "figures", "--dry-run", "--forceall")
    plans = each("write_plans", {"none", "dpo"}) | {"build_tokenizer", "bundle_vega"}
    assert set(job_commands(result.stdout)) == DATA | MODEL | LISTED | plans
