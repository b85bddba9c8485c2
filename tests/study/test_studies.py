"""The studies in config/ and the README are complete, and their dry runs work."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.workflow import PROJECT, STAGES, changed_config, copy_project, job_commands, run_warm

from dpo_neurons.study.study import ALWAYS_READ

pytestmark = pytest.mark.slow

OVERLAYS = ("smollm2-135m.offline.yaml", "gpt2-medium.published.yaml")
STUDIES = sorted(
    path.name for path in (PROJECT / "config").glob("*.yaml") if path.name not in OVERLAYS
)
ON_A_LAPTOP = ("smollm2-135m.yaml", "smollm2-135m-seeds.yaml")
OF_TRIPLES = ("olmo-2-1b.yaml", "tulu-3-8b.yaml", "zephyr-7b.yaml")
"""Base, SFT and DPO checkpoints of one model, which read what a chat template renders."""
OF_THE_PAPER = [
    name for name in STUDIES if name not in ("families.yaml", *ON_A_LAPTOP, *OF_TRIPLES)
]
MADE = "results/smollm2-135m"
"""What the study of the seeds reads: the results of the other one."""
BROUGHT = (
    "data/train.csv",
    "data/toxic_words.txt",
    "checkpoints/dpo.pt",
    "checkpoints/probe.pt",
    "data/toxicity_pairwise/pairs.jsonl",
    "data/paradetox.tsv",
    "data/labelled_posts.csv",
    "data/profanity_wordlist.txt",
    "data/wikitext-2.test.tokens",
    "data/SmolLM2-135M-Instruct.Q4_1.gguf",
)
"""What the real studies need a user to bring."""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project, with the files that a user brings; dry runs do not read them."""
    directory = tmp_path_factory.mktemp("studies") / "project"
    copy_project(directory)
    shutil.copytree(PROJECT / "config", directory / "config", dirs_exist_ok=True)
    for name in BROUGHT:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    for dataset in (*ALWAYS_READ, "preference_pairs", "lexicon"):
        (directory / MADE / "data").mkdir(parents=True, exist_ok=True)
        (directory / MADE / f"data/{dataset}.jsonl").touch()
    (directory / MADE / "directions/smollm2-135m").mkdir(parents=True)
    (directory / MADE / "directions/smollm2-135m/probe.safetensors").touch()
    given = ("before", "after", "olmo-2-1b-sft", "olmo-2-1b-dpo", "mistral-7b-sft-beta")
    folders = [f"checkpoints/{name}" for name in given]
    made = [f"{MADE}/checkpoints/smollm2-135m/{stage}" for stage in STAGES]
    for folder in (*folders, *made):
        (directory / folder).mkdir(parents=True)
        (directory / folder / "config.json").touch()
    return directory


def plan(project: Path, *configs: str) -> str:
    result = run_warm(["snakemake", "figures", "-n", "-p", "--configfile", *configs], project)
    assert result.returncode == 0, result.stdout[-2000:]
    assert not re.search("exception|traceback", result.stdout, re.IGNORECASE)
    return result.stdout


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_planned_to_its_last_figure(project, name):
    jobs = job_commands(plan(project, f"config/{name}"))
    study = yaml.safe_load((PROJECT / "config" / name).read_text(encoding="utf-8"))
    rules = {job.partition(" ")[0] for job in jobs}
    assert {"capture_activations", "run_interventions", "score_continuations"} <= rules
    assert {"draw_tradeoff", "tabulate_sources", "tabulate_logit_lens"} <= rules
    if name in OF_THE_PAPER:
        assert "write_synthetic_data" not in rules
        assert {"fetch_from_hub", "train_dpo", "import_hub_data", "import_data"} <= rules
        assert "tabulate_published" in rules
    # A figure without rows to draw is left out. A study without interventions has the default's.
    kinds = {row["kind"] for row in study.get("interventions", {}).values()}
    if kinds:
        assert ("draw_edit_grid" in rules) == ("edit" in kinds)
        assert ("draw_key_scaling" in rules) == ("scale_keys" in kinds)
    assert ("draw_samples" in rules) == bool(study.get("sampling", {}).get("rows"))
    for command in jobs.values():
        assert "results/toy/" not in command
        assert f"results/{study['study']}/" in command


@pytest.mark.parametrize("name", OF_TRIPLES)
def test_both_steps_of_a_triple_read_what_the_template_of_its_middle_renders(project, name):
    jobs = job_commands(plan(project, f"config/{name}"))
    rendered = [command for job, command in jobs.items() if job.startswith("render_chat ")]
    results = f"results/{name.removesuffix('.yaml')}"
    for model, stage in (("base-to-sft", "post"), ("sft-to-dpo", "pre")):
        chat, pre = f"{results}/chat/{model}", f"{results}/checkpoints/{model}/pre"
        of_model = [command for command in rendered if f" {chat}/" in command]
        assert len(of_model) == 3
        template = f"--checkpoint {results}/checkpoints/{model}/{stage} --template {stage} "
        assert all(template in command for command in of_model)
        (probe,) = (c for c in jobs.values() if f"train_probe.py --checkpoint {pre} " in c)
        assert f"--comments {chat}/labelled_comments.jsonl" in probe
    middle = f"{results}/checkpoints/base-to-sft/post"
    (linked,) = (c for c in jobs.values() if f"--output {results}/checkpoints/sft-to-dpo/pre " in c)
    assert f"--path {middle} --source {middle}.source.json --same-as base-to-sft/post " in linked
    reading = re.compile(rf"{results}/data/(challenge|reference|labelled)\w+\.jsonl")
    makers = ("render_chat", "import_data", "import_hub_data")
    for job, command in jobs.items():
        assert job.startswith(makers) or not reading.search(command)
    assert "compare_models" in {job.partition(" ")[0] for job in jobs}


def test_a_guard_is_given_the_messages_that_a_template_renders(project):
    guard = {"kind": "guard", "path": "checkpoints/before", "scored_token": "Yes"}
    config = changed_config(
        project / "guarded.yaml",
        ("scorer", guard | {"other_token": "No"}),
        ("models.toy.chat", {}),
    )
    jobs = job_commands(plan(project, str(config))).values()
    scoring = [command for command in jobs if "score_continuations.py" in command]
    asked = "--messages results/micro/data/challenge_prompts.jsonl"
    rendered = "--rendered results/micro/chat/toy/challenge_prompts.jsonl"
    assert len(scoring) > 10
    assert all(f" {asked} {rendered} " in command for command in scoring)


def test_the_four_models_of_the_later_version_are_one_study(project):
    text = (PROJECT / "docs/reproducing.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"( {4}snakemake figures .*?yaml)\n\n", text, re.DOTALL)
    words = command.replace("\\\n", " ").split()
    result = run_warm([*words, "-n", "-p"], project)
    assert result.returncode == 0, result.stdout[-2000:]
    jobs = [job.partition(" ") for job in job_commands(result.stdout)]
    tables = [which for rule, _, which in jobs if rule == "tabulate_interventions"]
    for model in ("gpt2-medium", "llama-3.1-8b", "gemma-2-2b", "mistral-7b"):
        assert any(model in which for which in tables)
    assert "compare_models" in {rule for rule, _, _ in jobs}
    assert "--definition v3" in result.stdout
    assert "--definition v1" not in result.stdout


def test_without_a_hub_the_overlay_takes_model_and_text_from_files(project):
    name, overlay = ON_A_LAPTOP[0], f"config/{OVERLAYS[0]}"
    jobs = job_commands(plan(project, f"config/{name}", overlay))
    rules = {job.partition(" ")[0] for job in jobs}
    assert {"import_gguf", "import_data", "train_dpo", "draw_rewards"} <= rules
    assert not {"fetch_from_hub", "import_hub_data", "link_checkpoint"} & rules
    head = (PROJECT / "config" / name).read_text(encoding="utf-8").partition("\nstudy:")[0]
    assert f"--configfile config/{name} {overlay}" in " ".join(head.replace("#", "").split())


def test_with_what_lee_et_al_published_nothing_is_tuned_and_no_comment_read(project):
    jobs = job_commands(plan(project, "config/gpt2-medium.yaml", f"config/{OVERLAYS[1]}"))
    rules = {job.partition(" ")[0] for job in jobs}
    assert {"import_state_dict", "import_direction"} <= rules
    assert not {"train_dpo", "train_probe", "draw_rewards"} & rules
    assert not any("labelled_comments" in command for command in jobs.values())


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_a_real_study_says_what_it_needs_and_what_a_user_brings(name):
    text = (PROJECT / "config" / name).read_text(encoding="utf-8")
    head = text[: text.index("\nstudy:")]
    for word in ("GPU memory", "disk", "hours", "data/toxic_words.txt", "data/toxicity_pairwise"):
        assert word in head
    assert f"--configfile config/{name}" in head
    revisions = re.findall(r"revision: (\S+)", text)
    assert len(revisions) == 6
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)


def test_a_file_that_the_user_has_to_bring_is_named_if_it_is_not_there(project, tmp_path):
    copy_project(tmp_path / "bare")
    shutil.copytree(PROJECT / "config", tmp_path / "bare/config", dirs_exist_ok=True)
    result = run_warm(
        ["snakemake", "-n", "--configfile", "config/gpt2-medium.yaml"], tmp_path / "bare"
    )
    assert result.returncode != 0
    pairs = "data.preference_pairs.path: data/toxicity_pairwise/*.jsonl does not exist"
    assert pairs in result.stdout


def readme_study() -> str:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    (study,) = re.findall(r"```yaml\n(study: .*?)```", text, re.DOTALL)
    return study


def test_the_readmes_own_study_has_under_ten_lines_and_is_planned(project):
    study = readme_study()
    assert len(study.splitlines()) < 10
    (project / "my_study.yaml").write_text(study.replace("cuda", "auto"), encoding="utf-8")
    jobs = job_commands(plan(project, "my_study.yaml"))
    rules = {job.partition(" ")[0] for job in jobs}
    assert {"link_checkpoint", "train_probe", "fetch_from_hub", "draw_tradeoff"} <= rules
    # The rows of the paper's two tables, live shifts, and the controls of both.
    runs = " ".join(command for command in jobs.values() if "run_interventions.py" in command)
    rows = set(re.findall(r'"intervention": "(\w+)"', runs))
    assert {"none", "dpo", "ablate_positive_top_2000", "scale_keys_x10"} <= rows
    assert {"patch_tp_an_tn", "control_tp_an_tn"} <= rows
    assert {"shift_all", "control_shift_all"} <= rows
    assert len(rows) == 2 + 7 + 3 + 2 * 7 + 2 * 7
