"""Outputs appear whole or not at all, also when the disk fills up."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.files.output_files import whole_directory, whole_file

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


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


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from dpo_neurons.files.output_files import whole_directory, whole_file
whole = {'whole_file': whole_file, 'whole_directory': whole_directory}[sys.argv[1]]
with whole(Path(sys.argv[2])) as partial:
    (partial / "a" if partial.is_dir() else partial).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def written(whole, path, text):
    """Write a file, or a directory with one file."""
    with whole(path) as partial:
        (partial / "a" if partial.is_dir() else partial).write_text(text)


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_what_a_killed_writer_left_goes_with_the_next_try_and_nothing_else(tmp_path, whole):
    path = tmp_path / "b.csv"
    neighbour = tmp_path / ".partial-01234567-a-b.csv"  # of another file, a-b.csv
    neighbour.write_text("")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, whole.__name__, path]
    for _ in range(2):
        assert subprocess.run(command, cwd=SCRIPTS, check=False).returncode == -9
        left = set(tmp_path.iterdir()) - {neighbour}
        assert len(left) == 1
        assert path not in left
    written(whole, path, "whole")
    assert set(tmp_path.iterdir()) == {path, neighbour}


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
@pytest.mark.parametrize("second_is_quicker", [True, False])
def test_two_that_write_one_file_at_once_never_mix(tmp_path, whole, second_is_quicker):
    path = tmp_path / "a"

    def second():
        with whole(path) as partial:
            file = partial / "a" if partial.is_dir() else partial
            file.write_text("of the second, half")
            yield
            file.write_text("of the second, whole")
        yield

    def first(other):
        with whole(path) as partial:
            (partial / "a" if partial.is_dir() else partial).write_text("of the first")
            next(other)
            if second_is_quicker:
                next(other)

    other = second()
    with pytest.raises(InputError, match="another process began to write it"):
        first(other)
    if not second_is_quicker:
        assert not path.exists()
        next(other)
    assert (path / "a" if path.is_dir() else path).read_text() == "of the second, whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
def test_what_is_renamed_is_on_the_disk_already(tmp_path, whole, monkeypatch):
    # Otherwise a power cut could leave an empty file with the right name.
    path, events = tmp_path / "a", []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor):
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def renamed(partial, to):
        events.append("renamed")
        return rename(partial, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    written(whole, path, "whole")
    content, *rest = events
    assert content == "a" or content.endswith("-a")
    assert rest == ["renamed", tmp_path.name]


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
        from dpo_neurons.files.output_files import whole_file
        from dpo_neurons.running.program import run_program
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
