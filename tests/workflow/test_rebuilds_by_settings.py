"""A changed setting rebuilds what it enters, and nothing else: the rows of docs/rebuilds.md."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.micro_jobs import (
    CAPTURES,
    CONTRIBUTIONS,
    DATA,
    DIRECTIONS_COMPARED,
    DPO,
    FAITHFULNESS,
    GROUPS,
    IMPORTED,
    INTERVALS,
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
    changed_config,
    each,
    snakemake,
    stale_jobs,
)

pytest_plugins = ["support.finished_study"]

CONFIGURATION = [
    ("figures.1a_layer_projections.ablated", "ablate_positive_top_3",
     each(UNDER_PLAN, {"ablate_positive_top_3"}) | {"draw_layer_projections"}
     | each(MEASURE, {"ablate_positive_top_3", "ablate_top_6"}) | TABLE | TESTS | FAITHFULNESS),
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
    ("activations.positions", "predicting", CAPTURES | RUNS),
    ("perplexity.positions", "first", RUNS - UNMOVED - SHIFTED),
    ("perplexity.window", 24, RUNS),
    ("perplexity.screen_windows", 2, RUNS - each(MEASURE, {"none", "dpo"})),
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
