"""Only stale outputs are rebuilt, and all stale ones are: the rows of docs/rebuilds.md."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.changed_code import change_body
from support.micro_jobs import (
    ABLATED_CAPTURE,
    CAPTURES,
    CONTRIBUTIONS,
    DATA,
    DIRECTIONS_COMPARED,
    DPO,
    FAITHFULNESS,
    GROUPS,
    IMPORTED,
    INTERVALS,
    LISTED,
    MEASURE,
    MODEL,
    MODEL_RUNS,
    OF_LISTED,
    OF_ROWS,
    PROBE,
    RANDOM_RUNS,
    RANDOM_SETS,
    RENDERED,
    RUNS,
    SAMPLES,
    SCORES,
    SHIFTED,
    SOURCES,
    SPLIT,
    TABLE,
    TESTS,
    UNDER_PLAN,
    UNMOVED,
)
from support.workflow import (
    ENTRIES,
    RESULTS,
    changed_config,
    each,
    job_commands,
    snakemake,
    stale_jobs,
)

pytest_plugins = ["support.finished_study"]

CONFIGURATION = [
    ("figures.1a_layer_projections.ablated", "ablate_positive_top_3",
     each(UNDER_PLAN, {"ablate_positive_top_3"}) | {"draw_layer_projections"}),
    ("figures.2b_rank_composition.bins", 4, {"draw_rank_composition"}),
    ("figures.2c_projection_shifts.last", 12, {"draw_projection_shifts"}),
    ("figures.4_top_activations.top", 9, {"draw_top_activations"}),
    ("figures.5a_top_toxic_shifts.last", 9, {"draw_top_toxic_shifts"}),
    ("figures.5b_later_toxic_shifts.last", 29, {"draw_later_toxic_shifts"}),
    ("groups.definition", "v3", CONTRIBUTIONS | DIRECTIONS_COMPARED),
    ("groups.random_directions", 5, DIRECTIONS_COMPARED),
    ("interventions.patch_all_four.random_sets", 3, RANDOM_SETS | OF_LISTED),
    ("sampling.per_prompt", 3, SAMPLES),
    ("sampling.rows", ["dpo", "none"],
     each("run_samples score_samples", {"none"}) | {"tabulate_samples", "draw_samples"}),
    ("faithfulness.prompts", 9, RUNS),
    ("data.lexicon", {"kind": "file", "path": "stand_ins/words.csv"},
     {"import_data lexicon"} | SCORES | SOURCES),
    ("interventions.ablate_top_9", {"kind": "ablate", "top": 9},
     each(f"write_plans {MEASURE}", {"ablate_top_9"}) | OF_ROWS),
    ("interventions.patch_tn", {"kind": "patch", "groups": ["TN+"]},
     each(f"write_plans {MEASURE}", {"patch_tn"}) | OF_ROWS),
    ("interventions.scale_keys_x2.factor", 3,
     each(f"write_plans {MEASURE}", {"scale_keys_x2"}) | OF_ROWS),
    ("generation.tokens", 4, CAPTURES | RUNS | SAMPLES),
    ("generation.positions", "all", (RUNS - UNMOVED) | RANDOM_RUNS),
    ("activations.positions", "predicting", CAPTURES),
    ("perplexity.positions", "first", RUNS - UNMOVED - SHIFTED),
    ("perplexity.window", 24, RUNS),
    ("bootstrap.level", 0.9,
     GROUPS | TABLE | TESTS | FAITHFULNESS | INTERVALS | DIRECTIONS_COMPARED
     | SPLIT | {"tabulate_samples"}),
    ("bootstrap.resamples", 90,
     GROUPS | TABLE | TESTS | FAITHFULNESS | INTERVALS | SPLIT | {"tabulate_samples"}),
    ("directions.probe.validation_share", 0.3, PROBE),
    ("directions.words", {"kind": "embedding", "words": ["fool"], "neutral_words": ["friend"]},
     each("compute_embedding_direction compute_contributions summarise_groups tabulate_logit_lens"
          " compare_random_directions", {"words"}) | {"compare_directions"}),
    ("directions.contrast", {"kind": "difference", "layer": "best"},
     each("compute_mean_difference compute_contributions summarise_groups tabulate_logit_lens"
          " compare_random_directions", {"contrast"}) | {"compare_directions"}),
    ("directions.one", {"kind": "value_vector", "layer": 1, "neuron": 3},
     each("read_value_vector compute_contributions summarise_groups tabulate_logit_lens"
          " compare_random_directions", {"one"}) | {"compare_directions"}),
    ("further_scorers", {"refusal": {"kind": "phrases"}},
     {f"score_further refusal {entry}" for entry in ENTRIES} | {"compare_scorers"}),
    ("directions.pairs", {"kind": "pair_svd", "components": 2},
     each("compute_pair_svd compute_contributions summarise_groups tabulate_logit_lens"
          " compare_random_directions", {"pairs"}) | {"compare_directions"}),
    ("logit_lens.tokens", 3,
     {"tabulate_logit_lens", "tabulate_largest_neurons", "write_model_page"}),
    ("models.toy.chat", {"system": "be kind"},
     (MODEL - {"train_language_model", "write_plans steer_last"}) | RENDERED),
    ("logit_lens.value_vectors", 2, {"tabulate_logit_lens"}),
    ("models.toy.attention", "eager", MODEL_RUNS),
    ("models.toy.dtype", "bfloat16", MODEL),
    ("models.toy.gpus", 2, set()),
    ("models.toy.post.kl_weight", 0.1, DPO),
    ("models.toy.post.steps", 4, DPO),
    ("models.toy.pre.steps", 90, MODEL),
    ("seed", 6, DATA | MODEL),
    ("compute", {"device": "auto", "batch_size": 7, "threads": 2, "shards": 3}, set()),
]  # fmt: skip

WORDS_FILE, CLASSIFIER_FOLDER = "stand_ins/words.csv", "stand_ins/classifier"
CLASSIFIER = {
    "kind": "classifier", "path": CLASSIFIER_FOLDER, "label": "toxic", "activation": "sigmoid"
}  # fmt: skip
GUARD = {
    "kind": "guard", "path": CLASSIFIER_FOLDER, "scored_token": "Yes", "other_token": "No"
}  # fmt: skip
PERSPECTIVE = {"kind": "perspective", "attributes": ["TOXICITY", "INSULT"]}
WORDS = {"kind": "file", "path": "stand_ins/*.csv", "columns": {"word": "term"}, "rows": 9}
CUT = {"kind": "file", "path": WORDS_FILE, "prompt_words": 9}
SETTINGS_OF_OTHER_STUDIES = [
    ("scorer", CLASSIFIER, "scorer.label", "rude", SCORES),
    ("scorer", CLASSIFIER, "scorer.activation", "softmax", SCORES),
    ("scorer", CLASSIFIER, "scorer.path", "stand_ins/another", SCORES),
    ("scorer", CLASSIFIER, "compute.batch_size", 7, set()),
    ("scorer", CLASSIFIER, "compute.threads", 2, set()),
    ("scorer", PERSPECTIVE, "scorer.attributes", ["TOXICITY"], SCORES),
    ("scorer", PERSPECTIVE, "scorer.language", "en", SCORES),
    ("scorer", PERSPECTIVE, "scorer.endpoint", "http://127.0.0.1:9", SCORES),
    ("scorer", PERSPECTIVE, "scorer.queries_per_second", 9, set()),
    ("scorer", PERSPECTIVE, "scorer.store", "elsewhere.sqlite", set()),
    ("scorer", PERSPECTIVE, "compute.batch_size", 7, set()),
    ("scorer", PERSPECTIVE, "scorer.request_path", "/v2/analyze", SCORES),
    ("scorer", PERSPECTIVE, "scorer.header", "X-Api-Key", set()),
    ("scorer", GUARD, "scorer.scored_token", "Si", SCORES),
    ("scorer", GUARD, "scorer.dtype", "float32", SCORES),
    ("data.lexicon", WORDS, "data.lexicon.columns", {"word": "insult"}, IMPORTED),
    ("data.lexicon", WORDS, "data.lexicon.where", {"language": "en"}, IMPORTED),
    ("data.lexicon", WORDS, "data.lexicon.rows", 8, IMPORTED),
    (
        "data.reference_sentences",
        CUT,
        "data.reference_sentences.prompt_words",
        8,
        {"import_data reference_sentences"} | SOURCES | RUNS,
    ),
]
"""What another study has, key and value, then what is changed in it and what that rebuilds."""

CODE = [
    ("evaluation/text_metrics", "unigram_f1", TABLE | FAITHFULNESS),
    ("activations/cache", "gather_pieces", CAPTURES),
    ("scorers/lexicon", "score_by_lexicon", SCORES),
    ("neurons/groups", "assign_groups", CONTRIBUTIONS),
    ("models/perplexity", "measure_perplexity", RUNS),
    ("directions/probe", "train_probe", PROBE),
    ("activations/capture", "CountedSums.see_tokens", CAPTURES | RUNS | SAMPLES),
    ("directions/logit_lens", "tabulate_tokens", {"tabulate_logit_lens"}),
    ("study/source_table", "source_table", SOURCES),
    ("interventions/hooks", "apply_plan", ABLATED_CAPTURE | RUNS | RANDOM_RUNS | SAMPLES),
    ("figures/style", "write_figure", {job for job in MODEL if re.fullmatch("draw_[a-z_]*", job)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "rebuilt"), CONFIGURATION, ids=[r[0] for r in CONFIGURATION]
)
def test_a_changed_setting_rebuilds_what_it_enters_and_nothing_else(
    finished_study: Path, tmp_path: Path, key: str, value: Any, rebuilt: set[str]
) -> None:
    config = changed_config(tmp_path / "changed.yaml", (key, value))
    assert stale_jobs(finished_study, config) == rebuilt


@pytest.fixture(scope="module")
def finished_with(
    finished_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[tuple[str, Any]], Path]:
    """Copies of the finished study as if another configuration had made its files."""
    copies: dict[str, Path] = {}

    def with_change(change: tuple[str, Any]) -> Path:
        if str(change) not in copies:
            study = tmp_path_factory.mktemp("other") / "study"
            shutil.copytree(finished_study, study, symlinks=True)
            config = changed_config(study / "other.yaml", change)
            touched = snakemake(study, "figures", "--touch", "--cores", "1", config=config)
            assert touched.returncode == 0, touched.stdout
            assert stale_jobs(study, config) == set()
            copies[str(change)] = study
        return copies[str(change)]

    return with_change


@pytest.mark.parametrize(
    ("section", "entry", "key", "value", "rebuilt"),
    SETTINGS_OF_OTHER_STUDIES,
    ids=[f"{row[1]['kind']} {row[2]}" for row in SETTINGS_OF_OTHER_STUDIES],
)
def test_a_setting_of_another_study_rebuilds_what_it_enters_and_nothing_else(
    finished_with, tmp_path: Path, section: str, entry: Any, key: str, value: Any, rebuilt: set[str]
) -> None:
    changes = [(section, entry), (key, value)]
    config = changed_config(tmp_path / "changed.yaml", *changes)
    assert stale_jobs(finished_with(changes[0]), config) == rebuilt


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


def touch(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("change", [add_comments, change_docstrings, reformat, touch])
def test_code_that_does_the_same_rebuilds_nothing(own_study: Path, change) -> None:
    programs = sorted(own_study.glob("workflow_scripts/**/*.py"))
    before = [path.read_bytes() for path in programs]
    for path in programs:
        change(path)
    changed = sum(path.read_bytes() != old for path, old in zip(programs, before, strict=True))
    assert changed == 0 if change is touch else changed > 20
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
