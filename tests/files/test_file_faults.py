"""Faults of files and disks are one sentence with a remedy, and no good file is to be deleted."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.directions.direction_files import read_direction, write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import REMEDIES, check_can_be_made, describe_fault
from dpo_neurons.files.hdf5 import new_hdf5, open_hdf5, write_array
from dpo_neurons.files.output_files import whole_directory, whole_file, write_text
from dpo_neurons.files.tables import read_csv, read_table, write_csv, write_table

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


@pytest.mark.parametrize("number", REMEDIES)
def test_each_fault_names_the_file_what_is_wrong_and_what_to_do(number):
    sentence = describe_fault(OSError(number, "whatever", "a/b.h5"))
    assert sentence.startswith(f"a/b.h5: {os.strerror(number)}; ")
    assert "\n" not in sentence
    assert describe_fault(OSError(number, "whatever"), Path("c")).startswith("c: ")
    assert describe_fault(OSError(number, "", os.fsencode("é"))).startswith("é: ")


@pytest.mark.parametrize("error", [OSError("odd"), ConnectionResetError(errno.ECONNRESET, "x")])
def test_an_error_of_another_kind_is_no_fault_of_files(error):
    assert describe_fault(error, "a") is None


def test_a_name_that_is_far_too_long_is_shortened_in_the_message():
    assert len(describe_fault(OSError(errno.ENAMETOOLONG, "", "x" * 5000))) < 500


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 250, "File name too long; shorten"),
        ("a-file/x", "a file stands where a folder should be"),
        ("a-file/x/y/z", "a file stands where a folder should be"),
    ],
)
def test_a_path_that_cannot_be_written_is_named_before_any_work(tmp_path, whole, name, words):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(InputError, match=words) as caught, whole(tmp_path / name):
        pytest.fail("the block ran")
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_neither_a_folder_nor_a_file_is_replaced_by_the_other(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    file.write_text("mine")
    with pytest.raises(InputError, match="folder: a folder stands where a file should be"):
        write_text(folder, "new")
    with pytest.raises(InputError, match="file: a file stands where"), whole_directory(file):
        pass
    assert (folder / "mine").read_text() == file.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}


@pytest.fixture
def read_only(tmp_path):
    """A file system mounted read-only with one file; skips where none may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system may be mounted here")
    (disk / "there").write_text("")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("whole", [whole_file, whole_directory])
@pytest.mark.parametrize("name", ["x", "folder/x", "there"])
def test_a_read_only_disk_is_named(read_only, whole, name):
    words = "Read-only file system; use a folder"
    with pytest.raises(InputError, match=words) as caught, whole(read_only / name):
        pytest.fail("the block ran")
    assert str(read_only / name) in str(caught.value)


def test_a_folder_without_permission_is_named(tmp_path):
    code = """
import os, sys
from pathlib import Path
from dpo_neurons.files.output_files import write_text
from dpo_neurons.running.program import run_program
def main():
    if os.geteuid() == 0:
        os.seteuid(65534)
    write_text(Path(sys.argv[1]) / "table.csv", "a")
run_program(main)
"""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", code, locked],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {locked}/table.csv: ")
    assert "Permission denied; change its permissions" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path, read_only):
    (tmp_path / "results").write_text("mine")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    check_can_be_made(tmp_path)
    check_can_be_made(tmp_path / "new/deeper")
    for folder in ("results", "results/toy", "results/toy/data", "gone", "gone/toy"):
        with pytest.raises(InputError, match="a file stands where a folder should be") as caught:
            check_can_be_made(tmp_path / folder)
        assert str(tmp_path / folder.split("/")[0]) in str(caught.value)
    with pytest.raises(InputError, match="disk: cannot be written; change its permissions"):
        check_can_be_made(read_only / "results/toy")


PROGRAM = """
import sys
from pathlib import Path
from dpo_neurons.running.program import run_program
def main():
    {body}
run_program(main)
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Path(sys.argv[1]).read_text()", "Is a directory; a folder stands where a file should be"),
        ("(Path(sys.argv[1]) / 'no').read_text()", "no: No such file or directory; check"),
        ("(Path(sys.argv[1]) / ('x' * 300)).read_text()", "File name too long; shorten"),
        ("raise OSError(5, 'x', 'a.h5')", "a.h5: Input/output error; the disk or the network"),
        ("bytearray(2**62)", "the memory of this machine is full"),
    ],
)
def test_a_program_ends_with_one_sentence_whatever_library_met_the_fault(tmp_path, body, words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body), tmp_path],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert "Traceback" not in done.stderr


READERS = {
    "t.parquet": (
        lambda path: write_table(path, pd.DataFrame({"a": [1]})),
        lambda path: read_table(path, (), ""),
    ),
    "t.csv": (lambda path: write_csv(path, pd.DataFrame({"a": [1]})), read_csv),
    "d.safetensors": (lambda path: write_direction(path, np.ones(3), {}), read_direction),
    "c.h5": (
        lambda path: path.write_bytes(b"damaged"),
        lambda path: open_cache(path).__enter__(),
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOLCK, errno.EMFILE])
def test_a_file_that_cannot_be_opened_is_not_to_be_deleted(tmp_path, monkeypatch, name, number):
    write, read = READERS[name]
    path = tmp_path / name
    write(path)

    def refuse(*arguments, **keywords):
        raise OSError(number, os.strerror(number), str(path))

    safe_open = "dpo_neurons.directions.direction_files.safe_open"
    path_methods = ("pathlib.Path.read_bytes", "pathlib.Path.open")
    for function in ("pandas.read_parquet", "h5py.File", safe_open, *path_methods):
        monkeypatch.setattr(function, refuse)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {os.strerror(number)}; ")
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_in_place_of_a_result_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="a folder stands where a file should be") as caught:
        READERS[name][1](tmp_path / name)
    assert "delete" not in str(caught.value)


NO_LOCKS = """
#include <errno.h>
int flock(int fd, int op) { errno = ERROR; return -1; }
"""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_captures_are_written_and_read_on_a_file_system_without_locks(tmp_path, number):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "nolock.c").write_text(NO_LOCKS.replace("ERROR", str(number)))
    library = tmp_path / "nolock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "nolock.c"], check=True)
    code = """
import sys
from pathlib import Path
import numpy as np
from dpo_neurons.files.hdf5 import new_hdf5, open_hdf5, write_array
from dpo_neurons.running.devices import lease_locks
from dpo_neurons.running.program import run_program
def main():
    path = Path(sys.argv[1])
    with new_hdf5(path) as file:
        write_array(file, "a", np.arange(3))
    with open_hdf5(path) as file:
        print(file["a"][:])
    with lease_locks([path.with_suffix(".lock")], 1):
        pass
run_program(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.h5"],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
        env=os.environ | {"LD_PRELOAD": str(library)},
    )  # fmt: skip
    assert done.stdout == "[0 1 2]\n", done.stderr
    assert done.returncode == 1
    assert "a.lock: the file system has no locks" in done.stderr.splitlines()[-1]
    assert "TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_lock_is_left_on_a_capture_that_another_process_reads(tmp_path):
    with new_hdf5(tmp_path / "a.h5") as file:
        write_array(file, "a", np.arange(3))
    with open_hdf5(tmp_path / "a.h5") as one, open_hdf5(tmp_path / "a.h5") as other:
        np.testing.assert_array_equal(one["a"][:], other["a"][:])
