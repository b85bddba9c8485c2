"""The programs that draw: the files they write, and errors that name what a file lacks."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import draw_activation_changes
import draw_activations
import draw_cancellation
import draw_cumulative_reduction
import draw_edit_grid
import draw_group_shares
import draw_key_scaling
import draw_layer_projections
import draw_layer_reduction
import draw_net_curve
import draw_prediction
import draw_projection_shifts
import draw_rank_composition
import draw_rewards
import draw_samples
import draw_top_activations
import draw_tradeoff
import h5py
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from support.figure_cases import (
    DPO,
    INTERVENTIONS,
    NO_SETS,
    NONE,
    PREDICTION,
    RANDOM_DIRECTIONS,
    SAMPLES,
    cancellation_table,
    group_table,
    heavy_tailed,
    interventions,
    layer_group_table,
    net_curve_table,
    neurons,
    random_layers,
    rows_in,
)

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.prediction import correlate_effects
from dpo_neurons.neurons.change_correlations import correlate_changes
from dpo_neurons.neurons.groups import REDUCING


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a small study: 3 layers, 200 neurons, d_model 4."""
    folder = tmp_path_factory.mktemp("study")
    heavy_tailed(3, 200).to_parquet(folder / "contributions.parquet")
    group_table(dict.fromkeys(REDUCING, 0.25)).to_csv(folder / "groups.csv", index=False)
    edited = {"form": "assign", "direction": "probe", "beta": 0.5}
    table = interventions(
        NONE,
        DPO,
        ("patch_TP-", "patch"),
        ("control_TP-", "control", {"control_of": "patch_TP-"}),
        ("ablate_top_5", "ablate", {"top": 5}),
        ("edit_a", "edit", edited | {"alpha": 0}),
        ("edit_b", "edit", edited | {"alpha": 0.02}),
        ("scale_keys_2", "scale_keys", {"top": 7, "factor": 2}),
        ("scale_keys_10", "scale_keys", {"top": 7, "factor": 10}),
    )
    table.to_csv(folder / "table.csv", index=False)
    table.head(5).to_csv(folder / "without_grids.csv", index=False)
    contributions = heavy_tailed(3, 200)
    cancellation_table(contributions).to_csv(folder / "cancellation.csv", index=False)
    net_curve_table(contributions).to_csv(folder / "curve.csv", index=False)
    PREDICTION.to_csv(folder / "prediction.csv", index=False)
    correlate_changes(contributions).to_csv(folder / "changes.csv", index=False)
    rewards = pd.DataFrame(0.5, range(3), ["step", "chosen_reward", "rejected_reward", "accuracy"])
    rewards.assign(pairs="tuned").to_csv(folder / "rewards.csv", index=False)
    SAMPLES.to_csv(folder / "samples.csv", index=False)
    NO_SETS.to_csv(folder / "sets.csv", index=False)
    RANDOM_DIRECTIONS.to_csv(folder / "random.csv", index=False)
    random_layers(contributions).to_csv(folder / "random_layers.csv", index=False)
    layer_group_table(contributions).to_csv(folder / "layer_groups.csv", index=False)
    coefficients = correlate_effects(PREDICTION, pd.DataFrame(), resamples=9, level=0.95, seed=1)
    coefficients.to_csv(folder / "correlations.csv", index=False)
    for i, name in enumerate(("before", "ablated", "after")):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["mlp_out_mean"] = np.full((3, 4), 3.0 - i, dtype=np.float32)
    save_file({"direction": np.eye(1, 4, dtype=np.float32)}, folder / "direction.safetensors")
    (folder / "vega.js").write_text("function vegaEmbed() {}")
    return folder


TRADEOFF, TABLE = "--table {} --random-sets sets.csv", "--table {}"
SHARES = "--groups {} --random-directions random.csv --direction-name probe"
PROGRAMS: list[tuple[ModuleType, str]] = [
    (
        draw_layer_projections,
        "--before before.h5 --ablated ablated.h5 --after after.h5 "
        "--direction direction.safetensors --direction-name probe",
    ),
    (
        draw_layer_projections,
        "--before before.h5 --after after.h5 "
        "--direction direction.safetensors --direction-name probe",
    ),
    (draw_cumulative_reduction, "--curve curve.csv --direction-name probe"),
    (draw_group_shares, SHARES.format("groups.csv")),
    (
        draw_rank_composition,
        "--contributions contributions.parquet --direction-name probe --top 10000 --bins 20",
    ),
    (
        draw_projection_shifts,
        "--contributions contributions.parquet --direction-name probe --ranked-by reduction "
        "--first 1 --last 50 --quantity projection --against cosine",
    ),
    (
        draw_layer_reduction,
        "--layer-groups layer_groups.csv --contributions contributions.parquet "
        "--random-directions random_layers.csv --direction-name probe",
    ),
    (
        draw_top_activations,
        "--contributions contributions.parquet --direction-name probe --top 100",
    ),
    (draw_tradeoff, TRADEOFF.format("table.csv")),
    (draw_cancellation, "--cancellation cancellation.csv --direction-name probe"),
    (draw_net_curve, "--curve curve.csv --direction-name probe"),
    (
        draw_prediction,
        "--prediction prediction.csv --correlations correlations.csv --direction-name probe",
    ),
    (draw_activation_changes, "--contributions contributions.parquet --direction-name probe"),
    (
        draw_activations,
        "--contributions contributions.parquet --correlations changes.csv --direction-name probe",
    ),
    (draw_edit_grid, "--table table.csv"),
    (draw_key_scaling, "--table table.csv"),
    (draw_rewards, "--rewards rewards.csv"),
    (draw_samples, "--samples samples.csv --table table.csv"),
]


@pytest.fixture
def run(study: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], None]:
    """Run a program's main in the study's folder."""

    def run(program: ModuleType, arguments: str) -> None:
        monkeypatch.chdir(study)
        words = [*arguments.split(), "--model", "toy", "--vega", "vega.js"]
        monkeypatch.setattr(sys, "argv", [program.__name__, *words])
        program.main()

    return run


@pytest.mark.parametrize(("program", "arguments"), PROGRAMS)
def test_program_writes_a_picture_with_its_title(program, arguments, study, run, tmp_path):
    stem = tmp_path / "figures" / "toy" / program.__name__
    run(program, f"{arguments} --output-stem {stem}")
    written = {path.suffix: path for path in stem.parent.iterdir()}
    assert set(written) == {".json", ".html", ".svg", ".png"}
    title = json.loads(written[".json"].read_text())["title"]
    vector = written[".svg"].read_text()
    assert title["text"] in vector
    assert "toy: " in vector
    assert vector.count("<path") > 10
    assert written[".png"].read_bytes()[:4] == b"\x89PNG"
    assert written[".png"].stat().st_size > 20_000
    assert "NaN" not in vector


def test_layer_projections_of_the_files(study, run, tmp_path):
    run(*PROGRAMS[0][:1], f"{PROGRAMS[0][1]} --output-stem {tmp_path / '1a'}")
    (rows,) = rows_in((tmp_path / "1a.json").read_text())
    assert rows["projection"].tolist() == [3.0] * 3 + [2.0] * 3 + [1.0] * 3


def test_layer_projections_of_a_study_without_an_ablation(study, run, tmp_path):
    run(*PROGRAMS[1][:1], f"{PROGRAMS[1][1]} --output-stem {tmp_path / '1a'}")
    (rows,) = rows_in((tmp_path / "1a.json").read_text())
    assert rows["projection"].tolist() == [3.0] * 3 + [1.0] * 3
    assert "ablated" not in (tmp_path / "1a.svg").read_text()


@pytest.mark.parametrize(
    ("program", "arguments", "missing"),
    [
        (draw_group_shares, SHARES.format("bare.csv"), "crossfitted_share_low"),
        (draw_tradeoff, TRADEOFF.format("bare.csv"), "toxicity_low"),
        (draw_edit_grid, "--table bare.csv", "toxicity_low"),
        (draw_key_scaling, "--table bare.csv", "toxicity_low"),
        (draw_cancellation, "--cancellation bare.csv --direction-name probe", "layer"),
        (draw_net_curve, "--curve bare.csv --direction-name probe", "cumulative"),
        (
            draw_prediction,
            "--prediction bare.csv --correlations correlations.csv --direction-name probe",
            "predicted",
        ),
        (
            draw_activation_changes,
            "--contributions bare.parquet --direction-name probe",
            "reduction",
        ),
        (
            draw_layer_reduction,
            "--layer-groups layer_groups.csv --contributions bare.parquet "
            "--random-directions random_layers.csv --direction-name probe",
            "reduction",
        ),
        (
            draw_layer_projections,
            "--before bare.h5 --ablated ablated.h5 --after after.h5 "
            "--direction direction.safetensors --direction-name probe",
            "mlp_out_mean",
        ),
        (
            draw_layer_projections,
            "--before before.h5 --ablated ablated.h5 --after after.h5 "
            "--direction bare.safetensors --direction-name probe",
            "tensor direction",
        ),
    ],
)
def test_what_a_file_lacks_is_named(program, arguments, missing, study, run, tmp_path):
    table = pd.concat([INTERVENTIONS, group_table({"TP-": 1.0})], axis=1)
    table = table.drop(columns=["toxicity_low", "crossfitted_share_low"])
    table.to_csv(study / "bare.csv", index=False)
    neurons(cosine=[0.1]).drop(columns="reduction").to_parquet(study / "bare.parquet")
    h5py.File(study / "bare.h5", "w").close()
    save_file({"w": np.ones(4, dtype=np.float32)}, study / "bare.safetensors")
    with pytest.raises(InputError, match=rf"bare\.\w+.*{missing}"):
        run(program, f"{arguments} --output-stem {tmp_path / 'figure'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [draw_edit_grid, draw_key_scaling])
def test_a_study_without_such_rows_gets_a_figure_that_says_so(program, run, tmp_path):
    run(program, f"--table without_grids.csv --output-stem {tmp_path / 'figure'}")
    assert len(list(tmp_path.iterdir())) == 4
    assert "no such row" in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("program", "column"),
    [
        (draw_tradeoff, "kind"),
        (draw_tradeoff, "control_of"),
        (draw_edit_grid, "form"),
        (draw_edit_grid, "beta"),
        (draw_key_scaling, "factor"),
    ],
)
def test_a_table_without_metadata_is_refused(program, column, study, run, tmp_path):
    table = pd.read_csv(study / "table.csv").drop(columns=column)
    table.to_csv(study / "unnamed.csv", index=False)
    options = (TRADEOFF if program is draw_tradeoff else TABLE).format("unnamed.csv")
    with pytest.raises(InputError, match=rf"unnamed\.csv: needs the column '{column}'"):
        run(program, f"{options} --output-stem {tmp_path / 'figure'}")


def test_files_of_different_models_are_refused(study, run, tmp_path):
    with h5py.File(study / "deeper.h5", "w") as file:
        file["mlp_out_mean"] = np.zeros((4, 4), dtype=np.float32)
    arguments = PROGRAMS[0][1].replace("after.h5", "deeper.h5")
    with pytest.raises(InputError, match=r"deeper\.h5.*\(4, 4\).*one model"):
        run(draw_layer_projections, f"{arguments} --output-stem {tmp_path / 'figure'}")
