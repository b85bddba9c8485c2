"""The same weights on every processor: bit-equal when drawn and trained, within 1e-9 when tuned."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support.workflow import PROJECT, run

PROGRAM = PROJECT / "tests/support/train_on_processor.py"
WITHOUT_VECTORS = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""Makes torch and its libraries compute as on a processor without AVX."""


def trained_weights(path: Path, environment: dict[str, str]) -> tuple[str, dict[str, torch.Tensor]]:
    """The capability that torch reports, and the weights."""
    paths = os.pathsep.join(map(str, (PROJECT / "workflow_scripts", PROJECT / "tests")))
    variables = os.environ | {"PYTHONPATH": paths} | environment
    result = run([sys.executable, str(PROGRAM), str(path)], path.parent, variables)
    assert result.returncode == 0, result.stdout
    with safe_open(path, framework="pt") as tensors:
        weights = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        return tensors.metadata()["capability"], weights


@pytest.mark.slow
def test_another_processor_draws_trains_and_tunes_the_same_model(tmp_path: Path) -> None:
    capability, weights = trained_weights(tmp_path / "here.safetensors", {})
    plain, others = trained_weights(tmp_path / "plain.safetensors", WITHOUT_VECTORS)
    if capability == plain:
        pytest.skip("this processor has no vector instructions to go without")
    assert plain == "DEFAULT"
    moved = {}
    for name, weight in weights.items():
        stage = name.partition(" ")[0]
        moved[stage] = max(moved.get(stage, 0), (weight - others[name]).abs().max().item())
    assert {weight.dtype for weight in weights.values()} == {torch.float64}
    assert moved["drawn"] == moved["trained"] == 0
    assert moved["tuned"] < 1e-9
    drawn, tuned = (f"{stage} lm_head.weight" for stage in ("drawn", "tuned"))
    assert (weights[tuned] - weights[drawn]).abs().max() > 0.01
