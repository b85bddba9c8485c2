"""A full disk under each kind of writer: one sentence, and no seemingly complete file."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
KILOBYTES = 64
WRITERS = {
    "table.parquet": """
        from dpo_neurons.files.tables import write_table
        write_table(path, pd.DataFrame({"a": numbers}))""",
    "table.csv": """
        from dpo_neurons.files.output_files import whole_file
        with whole_file(path) as partial:
            pd.DataFrame({"a": numbers}).to_csv(partial)""",
    "rows.jsonl": """
        from dpo_neurons.files.jsonl import write_jsonl
        write_jsonl(path, ({"prompt": str(number)} for number in numbers))""",
    "direction.safetensors": """
        from dpo_neurons.directions.direction_files import write_direction
        write_direction(path, numbers, {})""",
    "model": """
        from safetensors.numpy import save_file
        from dpo_neurons.files.output_files import whole_directory
        with whole_directory(path) as partial:
            (partial / "config.json").write_text("{}")
            save_file({"a": numbers}, partial / "model.safetensors")""",
    "figure.json": """
        import altair as alt
        from dpo_neurons.figures.style import write_figure
        rows = pd.DataFrame({"a": numbers[:3000], "b": numbers[:3000]})
        alt.data_transformers.disable_max_rows()
        chart = alt.Chart(rows).mark_point().encode(x="a", y="b")
        write_figure(chart, path.with_suffix(""), vega)""",
    "figure.html": """
        import altair as alt
        from dpo_neurons.figures.style import write_figure
        rows = pd.DataFrame({"a": numbers[:9], "b": numbers[:9]})
        chart = alt.Chart(rows).mark_point().encode(x="a", y="b")
        write_figure(chart, path.with_suffix(""), vega)""",
    "nothing.h5": """
        import h5py
        from dpo_neurons.files.output_files import whole_file
        with whole_file(path) as partial, h5py.File(partial, "w") as file:
            file.create_dataset("a", data=numbers, chunks=(1000,))""",
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few kilobytes; the test is skipped if none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_holds_nothing_that_looks_whole(
    small_disk: Path, name: str
) -> None:
    written = textwrap.indent(textwrap.dedent(WRITERS[name]), "    ")
    program = (
        "import sys\nfrom pathlib import Path\nimport numpy as np, pandas as pd\n"
        "from dpo_neurons.running.program import run_program\n"
        "path, vega = map(Path, sys.argv[1:])\n"
        "numbers = np.random.default_rng(1).normal(size=60_000)\n"
        f"def main():\n{written}\nrun_program(main)\n"
    )
    vega = small_disk.parent / "vega.js"
    vega.write_text("x" * 900_000)  # the size of the scripts in a page
    done = subprocess.run(
        [sys.executable, "-c", program, small_disk / name, vega],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert not (small_disk / name).exists()
    if done.returncode > 0:
        assert f"Error: {small_disk / name}: the disk is full" in done.stderr, done.stderr
        assert list(small_disk.rglob(".partial-*")) == []
    else:
        assert name.endswith(".h5"), done.stderr  # HDF5 may crash, so caches ask for room first
