"""The program that imports a user's direction."""

import sys
import zlib
from hashlib import sha256

import import_direction
import numpy as np
import pytest
from safetensors import safe_open
from support.workflow import PROJECT, program, run

from dpo_neurons.directions.direction_files import read_direction, read_lengths


@pytest.fixture
def mine(tmp_path):
    np.save(tmp_path / "mine.npy", np.array([[3.0, -4.0], [0.0, 2.0]], dtype=np.float32))
    return tmp_path / "mine.npy"


def test_the_result_says_what_it_was_made_from(mine, tmp_path, monkeypatch):
    output = tmp_path / "new" / "d.safetensors"
    monkeypatch.setattr(sys, "argv", ["x", "--path", str(mine), "--output", str(output)])
    import_direction.main()
    np.testing.assert_allclose(read_direction(output), [[0.6, -0.8], [0, 1]], atol=1e-7)
    with safe_open(output, framework="np") as tensors:
        noted = tensors.metadata()
        assert int(noted.pop("crc32"), 16) == zlib.crc32(tensors.get_tensor("direction").tobytes())
    assert noted == {
        "kind": "file",
        "path": str(mine),
        "sha256": sha256(mine.read_bytes()).hexdigest(),
        "tensor": "",
        "lengths": "[5.0, 2.0]",
    }


def test_lengths_are_kept_when_a_file_of_the_workflow_is_imported(mine, tmp_path, monkeypatch):
    for path, output in ((mine, "first"), (tmp_path / "first.safetensors", "second")):
        out = tmp_path / f"{output}.safetensors"
        monkeypatch.setattr(sys, "argv", ["x", "--path", str(path), "--output", str(out)])
        import_direction.main()
    assert read_lengths(tmp_path / "second.safetensors") == [5, 2]


def test_torch_is_not_imported_where_it_is_not_needed(mine, tmp_path):
    output = tmp_path / "d.safetensors"
    script = (
        "import sys; sys.path[:0] = ['.', 'directions']; import import_direction; "
        f"sys.argv = ['x', '--path', {str(mine)!r}, '--output', {str(output)!r}]; "
        "import_direction.main(); assert 'torch' not in sys.modules; "
        f"sys.argv = ['x', '--path', {str(output)!r}, '--output', {str(output)!r}]; "
        "import_direction.main(); assert 'torch' not in sys.modules"
    )
    result = run(["python", "-c", script], PROJECT / "workflow_scripts")
    assert result.returncode == 0, result.stdout


def test_a_damaged_file_is_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "mine.npy").write_bytes(b"no array")
    result = program("import_direction", f"--path {tmp_path}/mine.npy --output {tmp_path}/out/d")
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f"Error: {tmp_path}/mine.npy: damaged, or no plain array")
    assert not (tmp_path / "out").exists()
