"""Outputs appear whole or not at all, also when the disk fills up."""

import errno
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.output_files import whole_directory, whole_file

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"


def test_a_file_appears_with_its_ending_and_its_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    with whole_file(path) as partial:
        assert partial.parent == path.parent
        assert partial.suffix == ".csv"
        partial.write_text("a")
        assert not path.exists()
    assert path.read_text() == "a"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [True, False])
def test_an_exception_leaves_no_part_of_a_file_and_the_old_one(tmp_path, existing, error):
    path = tmp_path / "a.txt"
    if existing:
        path.write_text("old")

    def write_half(partial):
        partial.write_text("half")
        raise error

    with pytest.raises(error), whole_file(path) as partial:
        write_half(partial)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"] * existing


def test_a_directory_is_replaced_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with whole_directory(path) as partial:
            (partial / name).write_text(name)
        assert [file.name for file in path.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_replaces_a_link_and_not_what_it_points_to(tmp_path):
    target, path = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    (target / "kept").write_text("kept")
    path.symlink_to(target)
    with whole_directory(path) as partial:
        (partial / "new").write_text("new")
    assert not path.is_symlink()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert (target / "kept").read_text() == "kept"


def test_an_exception_leaves_no_part_of_a_directory_and_the_old_one(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(FileNotFoundError), whole_directory(path) as partial:
        shutil.copytree(tmp_path / "nowhere", partial / "new")
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, whole, number):
    with pytest.raises(InputError, match=r"a\.bin: the disk is full"), whole(tmp_path / "a.bin"):
        raise OSError(number, "written")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), whole_file(tmp_path / "a.bin"):
        raise PermissionError(errno.EACCES, "no")


WRITERS = {
    "text": "partial.write_text('a' * 200_000)",
    "csv": "pd.DataFrame({'a': range(90_000)}).to_csv(partial)",
    "parquet": "pd.DataFrame({'a': np.random.rand(90_000)}).to_parquet(partial)",
    "safetensors": "save_file({'a': np.random.rand(90_000)}, partial)",
    "hdf5": """with h5py.File(partial, 'w') as file:
        file['a'] = np.random.rand(90_000)""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_meets_a_full_disk_with_the_same_sentence(tmp_path, writer):
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        import h5py, numpy as np, pandas as pd
        from safetensors.numpy import save_file
        from dpo_neurons.output_files import whole_file
        from dpo_neurons.program import run_program
        def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
            with whole_file(Path(sys.argv[1])) as partial:
                WRITE
        run_program(main)
    """).replace("WRITE", WRITERS[writer].replace("\n", "\n        "))
    path = tmp_path / "output.file"
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert f"Error: {path}: the disk is full" in done.stderr
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
