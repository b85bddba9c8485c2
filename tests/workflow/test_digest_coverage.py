"""The digest of a program covers every function that runs, of the study and with a user's files."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from support.changed_checkpoints import change_tokenizer
from support.chat_templates import give_template
from support.figure_cases import subspace_table
from support.hub_stand_in import NO_PROXY, HubStandIn
from support.perspective_stand_in import KEY, standing_in
from support.saved_autoencoders import save_autoencoder, split_by_hand, write_features
from support.workflow import (
    PROGRAMS,
    PROJECT,
    RESULTS,
    job_commands,
    program,
    run,
    run_warm,
    snakemake,
)

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.running.code_digest import reached_definitions

pytest_plugins = ["support.finished_study"]

BROUGHT = [
    ("import_data", "--dataset lexicon --paths results/micro/data/lexicon.jsonl --where word=fool"
     " --output out.jsonl --source-output out.json"),
    ("import_data", "--dataset reference_sentences --paths {here}/*.parquet --columns text=line"
     " --rows 2 --prompt-words 3 --output out.jsonl --source-output out.json"),
    ("import_data", "--dataset labelled_comments --paths {here}/comments.csv"
     " --columns text=comment_text toxic=toxic --output out.jsonl --source-output out.json"),
    ("import_direction", "--path results/micro/directions/toy/probe.safetensors"
     " --output out.safetensors"),
    ("compute_embedding_direction", "--checkpoint results/micro/checkpoints/toy/pre"
     " --words fool oaf --neutral-words friend --threads 1 --output out.safetensors"),
    ("compute_mean_difference", "--checkpoint results/micro/checkpoints/toy/pre --label toxic"
     " --comments results/micro/data/labelled_comments.jsonl --layer best --position last"
     " --dtype float64 --attention default --batch-size auto --device cpu --threads 1"
     " --output out.safetensors"),
    ("compute_pair_svd", "--checkpoint results/micro/checkpoints/toy/pre --components 2"
     " --pairs results/micro/data/preference_pairs.jsonl --layer last --position last"
     " --dtype float64 --attention default --batch-size auto --device cpu --threads 1"
     " --output out.safetensors"),
    ("render_chat", "--dataset preference_pairs --rows results/micro/data/preference_pairs.jsonl"
     " --checkpoint {here}/instruct --template post"
     " --threads 1 --output out.jsonl --source-output out.json"),
    ("read_value_vector", "--checkpoint results/micro/checkpoints/toy/pre --layer 1 --neuron 7"
     " --output out.safetensors"),
    ("compute_svd_direction", "--checkpoint results/micro/checkpoints/toy/pre --neurons 9"
     " --components 2 --direction results/micro/directions/toy/probe.safetensors --threads 1"
     " --output out.safetensors"),
    ("train_probe", "--checkpoint results/micro/checkpoints/toy/pre --label rude --dtype float32"
     " --comments {here}/labelled.jsonl --validation-share 0.5 --seed 1 --attention default"
     " --inverse-regularisation 1 --batch-size auto --device cpu --threads 1"
     " --output out.safetensors"),
    ("export_intervention", "--model toy --stage pre --intervention strip_all --dtype float64"
     " --checkpoint results/micro/checkpoints/toy/pre"
     " --source results/micro/checkpoints/toy/pre.source.json"
     " --plans results/micro/plans/toy/strip_all.parquet"
     " --direction results/micro/directions/toy/probe.safetensors --output out"
     " --source-output out.json"),
    ("compute_contributions", "--checkpoint-pre results/micro/checkpoints/toy/pre"
     " --checkpoint-post results/micro/checkpoints/toy/post"
     " --direction {here}/plane/direction.safetensors"
     " --activations-pre results/micro/activations/toy/pre.h5 --definition v3"
     " --activations-post results/micro/activations/toy/post.h5 --output out.parquet"),
    ("tabulate_published", "--published"
     " workflow_scripts/dpo_neurons/evaluation/published_numbers.csv --set v1 --direction probe"
     " --table results/micro/tables/toy.csv --totals results/micro/totals/toy/probe.csv"
     " --groups results/micro/groups/toy/probe.csv --csv out.csv --markdown out.md"),
    ("draw_subspace", "--contributions {here}/plane/contributions.parquet"
     " --direction-name plane --model toy --vega {here}/results/micro/figures/vega.js"
     " --output-stem out"),
    ("average_shifts", "--activations-pre results/micro/activations/toy/pre.h5"
     " --activations-post results/micro/activations/toy/post.h5 --seed 1 --output out.parquet"),
    ("trace_token_probabilities", "--checkpoint-pre results/micro/checkpoints/toy/pre"
     " --checkpoint-post results/micro/checkpoints/toy/post --words grim"
     " --pair results/micro/checkpoints/toy/pair.json --tokenizer results/micro/checkpoints/toy/pre"
     " --prompts results/micro/data/challenge_prompts.jsonl --dtype float64 --attention default"
     " --gpus 1 --batch-size auto --device cpu --threads 1 --resamples 9 --level 0.9 --seed 1"
     " --output out.csv"),
    ("draw_token_probabilities", "--probabilities {here}/probabilities.csv --model toy"
     " --vega {here}/results/micro/figures/vega.js --output-stem out"),
    ("train_autoencoder", "--checkpoint results/micro/checkpoints/toy/pre --layer last"
     " --text results/micro/data/training_text.jsonl --texts 9 --features 8 --active 2 --steps 2"
     " --states-per-step 4 --learning-rate 1e-3 --seed 1 --dtype float64 --attention default"
     " --gpus 1 --batch-size auto --device cpu --threads 1 --output out"
     " --source-output out.json"),
    ("average_features", "--checkpoint-pre results/micro/checkpoints/toy/pre"
     " --checkpoint-post results/micro/checkpoints/toy/post --autoencoder {here}/sae"
     " --activations-pre results/micro/activations/toy/pre.h5"
     " --activations-post results/micro/activations/toy/post.h5"
     " --pair results/micro/checkpoints/toy/pair.json --tokenizer results/micro/checkpoints/toy/pre"
     " --prompts results/micro/data/challenge_prompts.jsonl --dtype float64 --attention default"
     " --gpus 1 --batch-size auto --device cpu --threads 1 --output out.h5"),
    ("split_by_features", "--checkpoint results/micro/checkpoints/toy/pre --autoencoder {here}/sae"
     " --features {here}/features.h5 --direction results/micro/directions/toy/probe.safetensors"
     " --tokens 2 --norm final --threads 1 --resamples 9 --level 0.9 --seed 1 --output out.csv"),
    ("draw_feature_shifts", "--split {here}/split.csv --direction-name probe --model toy"
     " --autoencoder-name sae --vega {here}/results/micro/figures/vega.js --output-stem out"),
    ("compare_scorers", "--results results/micro --model toy --table results/micro/tables/toy.csv"
     " --scorers twin --resamples 9 --level 0.9 --seed 1 --csv out.csv --markdown out.md"
     " --agreement-csv agreement.csv --agreement-markdown agreement.md"),
    ("compare_seeds", "--models toy twin --csv out.csv --markdown out.md --page out.html"
     " --tests results/micro/tables/toy.tests.csv results/micro/tables/toy.tests.csv"
     " --tables results/micro/tables/toy.csv results/micro/tables/toy.csv"
     " --groups results/micro/groups/toy/probe.csv results/micro/groups/toy/probe.csv"),
    ("link_checkpoint", "--path results/micro/checkpoints/toy/pre --output out"
     " --source-output out.json"),
    ("link_checkpoint", "--path {brought}/old --output out --source-output out.json"),
    ("merge_adapter", "--checkpoint results/micro/checkpoints/toy/pre --adapter {brought}/adapter"
     " --dtype float32 --threads 1 --output out --source-output out.json"),
    ("import_state_dict", "--path {brought}/post.pt --like results/micro/checkpoints/toy/pre"
     " --threads 1 --output out --source-output out.json"),
    ("import_gguf", "--path {brought}/model.gguf --threads 1 --output out"
     " --source-output out.json"),
    ("train_sft", "--checkpoint results/micro/checkpoints/toy/pre --dtype float32"
     " --demonstrations {here}/demonstrations.jsonl --learning-rate 1e-3 --warmup-steps 1 --steps 2"
     " --max-grad-norm 1 --batch-size 2 --seed 1 --max-tokens 20 --device cpu --threads 1"
     " --output out --source-output out.json"),
    ("score_continuations", "--continuations {continuations} --scorer classifier --label toxic"
     " --activation softmax --classifier {brought}/classifier --batch-size 4 --device cpu"
     " --threads 1 --output out.parquet"),
    ("score_continuations", "--continuations {continuations} --scorer perspective"
     " --attributes TOXICITY INSULT --endpoint {service} --queries-per-second 1000"
     " --store scores.sqlite --output out.parquet"),
]  # fmt: skip
"""Programs that run only in a study with a user's own files."""
TELLING = {
    "write_plans": "write_plans patch_tp",
    "run_interventions": "run_interventions scale_keys_x2",
    "capture_activations": "capture_activations pre",
    "write_synthetic_data": "write_synthetic_data preference_pairs",
    "gather_activations": "gather_activations pre",
}
"""The job that runs most of a program, if it has several jobs."""


@pytest.fixture(scope="module")
def commands(finished_study: Path) -> dict[str, str]:
    """Every job's command line, as Snakemake prints it."""
    return job_commands(snakemake(finished_study, "figures", "-n", "-p", "--forceall").stdout)


TRACE = PROJECT / "tests/support/function_trace.py"
OF_THE_STUDY = set(PROGRAMS) - {name for name, _ in BROUGHT} - {"fetch_from_hub"}


@pytest.mark.parametrize("name", sorted(OF_THE_STUDY | {"score_continuations"}))
def test_no_function_runs_that_the_digest_does_not_cover(
    own_study: Path, commands: dict[str, str], name: str
) -> None:
    jobs = [job for job, one in commands.items() if f"/{name}.py " in one]
    assert jobs, f"no job of the micro study runs {name}; give it a row in BROUGHT"
    command = commands[TELLING.get(name, jobs[0])]
    if name == "gather_activations":
        # Pieces are deleted after gathering.
        captured = program_arguments(commands["capture_activations pre"], "capture_activations")
        assert program("capture_activations", captured, own_study).returncode == 0
    arguments = program_arguments(command, name)
    assert_covered(name, traced(own_study, name, arguments))


@pytest.mark.parametrize(
    ("name", "arguments"),
    BROUGHT,
    ids=[f"{number} {name}" for number, (name, _) in enumerate(BROUGHT)],
)
def test_no_function_runs_that_the_digest_does_not_cover_with_what_a_user_brings(
    own_study: Path, brought: Path, name: str, arguments: str
) -> None:
    write_files_of_a_user(own_study)
    continuations = own_study / RESULTS / "generations/toy/none/challenge_prompts.jsonl"
    with standing_in() as service:
        places = {"here": own_study, "brought": brought, "continuations": continuations}
        filled = arguments.format(**places, service=service.url)
        assert_covered(name, traced(own_study, name, filled))


def write_files_of_a_user(own_study: Path) -> None:
    """Write what BROUGHT names and the micro study does not make."""
    texts = ["today the baker calmly then praised", "later the clerk then", " "]
    pq.write_table(pa.table({"line": texts}), own_study / "texts.parquet")
    (own_study / "comments.csv").write_text('comment_text,toxic\n"a, fool",1\nb,0\n')
    row = json.dumps({"prompt": "today the baker", "answer": "calmly then praised"})
    (own_study / "demonstrations.jsonl").write_text(f"{row}\n" * 4)
    comments = [{"text": text, "toxic": 0, "rude": i % 2} for i, text in enumerate(texts[:2] * 6)]
    write_jsonl(own_study / "labelled.jsonl", comments)
    write_direction(own_study / "plane/direction.safetensors", np.eye(2, 32), {"kind": "file"})
    shutil.copytree(
        own_study / RESULTS / "checkpoints/toy/pre", own_study / "instruct", dirs_exist_ok=True
    )
    change_tokenizer(own_study / "instruct", give_template())
    subspace_table(2).to_parquet(own_study / "plane/contributions.parquet")
    depth = pd.DataFrame({"stage": ["pre", "post"], "layer": 0, "after": "mlp", "probability": 0.1})
    depth = depth.assign(probability_low=0.05, probability_high=0.2)
    depth.to_csv(own_study / "probabilities.csv", index=False)
    save_autoencoder(own_study / "sae", 32, 9)
    write_features(own_study / "features.h5", 32, 9, 4)
    split_by_hand(4).to_csv(own_study / "split.csv", index=False)
    for path in (own_study / RESULTS / "scores/toy").glob("*.parquet"):
        twin = own_study / RESULTS / "further_scores/toy/twin" / path.name
        twin.parent.mkdir(parents=True, exist_ok=True)
        pd.read_parquet(path).rename(columns={"toxicity": "score"}).to_parquet(twin)


def test_no_function_runs_that_the_digest_does_not_cover_when_a_model_is_fetched(
    brought: Path, tmp_path: Path
) -> None:
    with HubStandIn() as hub:
        revision = hub.add("model", "some/adapter", brought / "adapter")
        arguments = ["--repository", "some/adapter", "--revision", revision, "--type", "model"]
        outputs = ["--output", "fetched", "--source-output", "fetched.source.json"]
        # Not warm: the hub's library reads the environment when it is imported.
        root, script = PROJECT / "workflow_scripts", PROGRAMS["fetch_from_hub"]
        tracer = [sys.executable, str(TRACE), "out.json", str(root), str(script)]
        result = run([*tracer, *arguments, *outputs], tmp_path, hub.environment(tmp_path / "cache"))
    assert result.returncode == 0, result.stdout
    assert_covered("fetch_from_hub", tmp_path / "out.json")


def program_arguments(command: str, name: str) -> str:
    """The arguments of a job's command line."""
    return command.partition(f"{name}.py ")[2].partition(" 2> ")[0]


def traced(directory: Path, name: str, arguments: str) -> Path:
    """Run a program of a copy of the project; return the file with the functions that ran."""
    out = directory / "trace.json"
    script = directory / PROGRAMS[name].relative_to(PROJECT)
    command = ["python", str(TRACE), str(out), "workflow_scripts", str(script)]
    environment = os.environ | {"PERSPECTIVE_API_KEY": KEY, **NO_PROXY}
    result = run_warm([*command, *shlex.split(arguments)], directory, environment)
    assert result.returncode == 0, result.stdout
    return out


def assert_covered(name: str, trace_file: Path) -> None:
    """All functions that ran are among those that the program's digest reaches."""
    ran = {tuple(pair) for pair in json.loads(trace_file.read_text(encoding="utf-8"))}
    root, program = PROJECT / "workflow_scripts", PROGRAMS[name]
    assert (f"{program.parent.name}.{name}", "main") in ran
    assert ran - reached_definitions(program, root) == set()
