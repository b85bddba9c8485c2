"""The benchmarks run on tiny shapes and report their measurements; no time is asserted."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[2] / "bench"
TINY = ["--layers=2", "--width=16", "--heads=2", "--vocabulary=60"]
WORK = ["--prompts=5", "--tokens=4", "--batch-size=2"]


@pytest.fixture
def bench(monkeypatch):
    """A benchmark's module, imported as its own command finds it: bench("capture")."""
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr("dpo_neurons.running.program.obey_threads", lambda threads: None)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and BENCH in Path(sys.modules[name].__file__).parents
        ):
            del sys.modules[name]


@pytest.fixture
def measured(bench, monkeypatch, capsys):
    """Run a benchmark as its command does; its JSON line, checked against its table."""

    def run(name: str, *arguments: str) -> dict:
        module = bench(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        module.main()
        *table, last = capsys.readouterr().out.splitlines()
        line = json.loads(last)
        assert line["benchmark"] == name
        assert line["machine"]["cores"] >= 1
        told = [row.split("|")[1].strip() for row in table if row.startswith("| ")]
        assert told[2:] == [figure["what"] for figure in line["figures"]]
        for figure in line["figures"]:
            values = figure["values"]
            assert np.isfinite(values).all()
            assert min(values) - 1e-6 <= figure["median"] <= max(values) + 1e-6
        return line

    return run


def values_of(line: dict) -> dict[str, list[float]]:
    return {figure["what"]: figure["values"] for figure in line["figures"]}


def test_capture_is_measured_against_generation_with_time_and_memory(measured, bench, monkeypatch):
    asked = []
    module = bench("capture")
    monkeypatch.setattr(
        module, "run_in_fresh_process", lambda script, arguments: asked.append(arguments) or 7.0
    )
    line = measured("capture", *TINY, *WORK, "--rounds=2")
    values = values_of(line)
    assert len(values["plain generate"]) == 2
    assert all(
        len(values[f"{name} ÷ plain generate"]) == 2 for name in (module.SORTED, module.AGAIN)
    )
    assert values["ours, memory beyond the model"] == [7.0]
    assert [arguments[-2:] for arguments in asked][1] == ["--memory-of", module.SORTED]
    assert "--layers=2" in asked[0]
    assert {figure["bar"] for figure in line["figures"]} == {None, 1.0, 300.0}


def test_every_way_to_capture_writes_the_same_cache(bench, tmp_path):
    capture, workloads = bench("capture"), bench("workloads")
    model = workloads.make_model(workloads.Shape(2, 16, 2, 60), "float32", "cpu")
    variants = capture.all_variants(
        model,
        workloads.make_tokenizer(60),
        workloads.Work(5, 4, 2),
        best_batch_size=5,
        folder=tmp_path,
    )
    for run in variants.values():
        run()
    with h5py.File(tmp_path / "ours.h5") as ours:
        assert ours["mlp_post"].shape == (5, 2, 64)
        assert ours["mask"][:].all()
        for name in ("sorted", "best", "again"):
            with h5py.File(tmp_path / f"{name}.h5") as other:
                assert set(other) == set(ours)
                for dataset in ours:
                    np.testing.assert_allclose(
                        other[dataset][:], ours[dataset][:], rtol=1e-3, atol=1e-5
                    )


def test_memory_is_measured_in_a_process_of_its_own(bench):
    measuring = bench("measuring")
    arguments = [*TINY, *WORK, "--memory-of", bench("capture").SORTED]
    assert 0 < measuring.run_in_fresh_process(str(BENCH / "capture.py"), arguments) < 1000


def test_the_fastest_runs_are_compared_whatever_their_rounds(bench):
    seconds = {"a": [3.0, 2.0, 9.0], "b": [1.0, 8.0, 4.0]}
    assert bench("measuring").fastest_ratio(seconds, of="a", to="b") == [2.0]
    assert bench("measuring").ratios(seconds, of="a", to="b") == [3.0, 0.25, 2.25]


def test_the_peak_of_memory_counts_what_was_freed_again(bench):
    measuring = bench("measuring")
    with measuring.PeakMemory("cpu") as peak:
        np.ones(10_000_000)
    assert 70 < peak.mb < 200


def test_growth_is_measured_for_each_doubling(measured):
    values = values_of(measured("capture_growth", *TINY, *WORK, "--rounds=1"))
    for name in ("layers", "width", "prompts", "tokens", "batch"):
        assert len(values[f"{name} × 2: time ÷ base"]) == 1
        assert len(values[f"{name} × 2: time ÷ generate"]) == 1
    assert values["layers × 2: written ÷ base"][0] > 1


def test_patched_generation_assigns_the_share_of_neurons_asked_for(measured, bench):
    plan = bench("patched_generation").make_plan(4, 500, 0.6)
    assert len(plan) == pytest.approx(1200, abs=100)
    assert not plan.duplicated(["layer", "neuron"]).any()
    assert set(plan["operation"]) == {"set"}
    values = values_of(measured("patched_generation", *TINY, *WORK, "--rounds=2"))
    assert len(values["patched at every token ÷ plain generate"]) == 2


def test_tables_of_neurons_are_timed_step_by_step(measured, bench, monkeypatch):
    monkeypatch.setattr(bench("neuron_tables"), "BOOTSTRAP", (50, 0.9, 0))
    shape = ["--layers=3", "--d-mlp=400", "--d-model=8", "--prompts=6", "--rounds=1"]
    values = values_of(measured("neuron_tables", *shape))
    counted = [each[0] for name, each in values.items() if name.startswith("counted: ")]
    assert len(counted) == 11
    assert values["in all, 1,200 neurons"][0] == pytest.approx(sum(counted), abs=1e-4)
    assert any(name.startswith("beside: figure 8") for name in values)


def test_scorers_are_timed_in_texts_a_second(measured):
    small = ["--texts=6", "--batch-size=3", "--words=5", "--rounds=2"]
    values = values_of(measured("scoring", *TINY, *small))
    assert min(values["lexicon"]) > 0
    assert len(values["classifier, one by one ÷ batched"]) == 2


def test_a_study_is_measured_by_the_processor_time_of_its_processes(measured, bench, monkeypatch):
    module, ran = bench("study"), []
    spin = "sum(range(3_000_000))"

    def run(code):
        return lambda: ran.append(subprocess.run([sys.executable, "-c", code], check=True))

    monkeypatch.setattr(module, "write_study", lambda *given: 2)
    variants = {module.NOTEBOOK: run(spin), module.OURS: run("pass"), module.COMPARED: run("pass")}
    monkeypatch.setattr(module, "all_variants", lambda *given: variants)
    values = values_of(measured("study", *TINY, *WORK, "--rounds=2"))
    assert len(ran) == 3 * 2
    assert len(values[f"{module.OURS} ÷ notebook"]) == 2
    assert max(values[f"{module.OURS} ÷ notebook"]) < 1
    whole, a_row = (values[f"{module.OURS}, {what}"] for what in ("processor time", "a row"))
    assert [2 * spent for spent in a_row] == pytest.approx(whole, abs=1e-5)


def test_rows_of_a_configuration_run_as_in_a_notebook(bench, tmp_path):
    module = bench("study")
    entries = ["none", "scale_keys_top_7", "edit_scale", "steer_last", "shift_tp", "transplant"]
    options = [*TINY, *WORK, "--references=2", "--windows=1", "--window=8", "--threads=1"]
    arguments = module.parse_arguments([*options, "--entries", *entries])
    study = module.read_study(arguments.configfile)
    shape = module.load(arguments), study, entries, module.texts_of(arguments)
    assert module.write_study(tmp_path, *shape) == 1 + 3 + 1 + 2 + 2 + 2
    module.run_notebook(tmp_path, arguments)
    module.run_entries(tmp_path, entries[-1:], arguments, 1, 1)
    measured = json.loads((tmp_path / "p.json").read_text())["interventions"]
    assert [row["intervention"] for row in measured] == ["transplant_mlp", "transplant_attention"]
    left_out = set(study.rows_by_entry) - set(module.entries_of(study, ["all"]))
    assert "shift_heads_270" in left_out
    assert not left_out & set(entries)


def test_overhead_is_what_is_not_a_steps_own_computation(measured, tmp_path, monkeypatch, bench):
    results = finished_by_hand(tmp_path)
    module = bench("workflow_overhead")
    monkeypatch.setattr(module, "run_study", lambda directory, config, cores: 2.5)
    arguments = (f"--directory={tmp_path}", "--configfile=study.yaml", "--rounds=2")
    values = values_of(measured("workflow_overhead", *arguments))
    assert values["nothing to do"] == [2.5, 2.5]
    assert values["whole run"] == [90.5]
    # 10 + 4 s of jobs on two cores, of which 3 + 1 s are imports.
    assert values["the steps' own computation"] == [10.0]
    assert values["overhead a job, mean"] == [pytest.approx((181 - 10) / 2)]
    assert values["of it between jobs, mean"] == [pytest.approx((181 - 14) / 2)]
    assert values["of it imports, 1 jobs with torch"] == [3.0]
    (results / "logs/score/toy.log").write_text("no imports told\n")
    assert "overhead a job, mean" not in values_of(measured("workflow_overhead", *arguments))


def finished_by_hand(directory: Path) -> Path:
    """A directory as Snakemake leaves it: two jobs on two cores in a minute and a half."""
    (directory / "study.yaml").write_text("study: tiny\n")
    results = directory / "results/tiny"
    for name, seconds, imports in (
        ("capture/toy", 10, (2_000_000, 1_000_000)),
        ("score/toy", 4, (1_000_000,)),
    ):
        for kind in ("benchmarks", "logs"):
            (results / kind / name).parent.mkdir(parents=True, exist_ok=True)
        (results / f"benchmarks/{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:{seconds}\n")
        told = "".join(f"import time: {own:9} | {own:9} | a.b\n" for own in imports)
        (results / f"logs/{name}.log").write_text(f"12:00:00 begins\n{told}done\n")
    logs = directory / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").write_text(
        "Provided cores: 2\n2 of 2 steps (100%) done\nElapsed time: 0:01:30.500000\n"
    )
    (logs / "2.snakemake.log").write_text("Provided cores: 2\nNothing to be done\n")
    return results


def test_a_study_that_fails_says_what_snakemake_said(bench, tmp_path):
    (tmp_path / "study.yaml").write_text("study: tiny\n")
    with pytest.raises(RuntimeError, match="Snakefile"):
        bench("workflow_overhead").run_study(tmp_path, "study.yaml", 1)


def test_variants_take_turns_and_the_first_round_does_not_count(bench):
    order = []
    variants = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    seconds = bench("measuring").time_variants(variants, 2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert [len(each) for each in seconds.values()] == [2, 2]


def test_ratios_are_taken_round_by_round(bench):
    measuring = bench("measuring")
    ratios = measuring.ratios({"a": [2.0, 9.0, 8.0], "b": [1.0, 3.0, 2.0]}, "a", "b")
    assert ratios == [2.0, 3.0, 4.0]
    assert measuring.Figure("a", "×", ratios, 3.0).row() == ["a", "3 ×", "2–4", "3", "held"]
    assert measuring.Figure("a", "×", ratios, 2.9).row()[-1] == "MISSED"
