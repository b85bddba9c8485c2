"""A user's direction file in every format, and every mistake in one."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dpo_neurons.directions.import_direction import read_given_direction
from dpo_neurons.errors import InputError

VECTOR = np.array([3.0, 0.0, -4.0, 0.0])
UNIT = [[0.6, 0.0, -0.8, 0.0]]


def torch_file(content, path):
    torch.save(content, path)
    return path


def numpy_file(content, path, **options):
    np.save(path, content, **options)
    return path


def safetensors_file(content, path, metadata=None):
    save_file(content, path, metadata)
    return path


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)], ids=str)
def test_a_torch_tensor_is_read_as_a_row(tmp_path, ending, shape):
    path = torch_file(torch.tensor(VECTOR).reshape(shape), tmp_path / f"probe{ending}")
    rows, name, _ = read_given_direction(path)
    np.testing.assert_allclose(rows, UNIT)
    assert (rows.dtype, name) == (np.float64, "")


@pytest.mark.parametrize(
    ("length", "recorded", "read"),
    [
        (1, "[7.5]", 7.5), (1, "[NaN]", 1), (1, "[0]", 1), (1, "[-2]", 1), (1, "[7, 8]", 1),
        (1, '["a"]', 1), (1, "[" * 99_999, 1), (5, "[7.5]", 5),
    ],
)  # fmt: skip
def test_a_recorded_length_counts_for_unit_vectors_alone(tmp_path, length, recorded, read):
    unit = torch.tensor(VECTOR / 5, dtype=torch.float32)
    metadata = {"lengths": recorded}
    path = safetensors_file({"direction": length * unit}, tmp_path / "d.safetensors", metadata)
    np.testing.assert_allclose(read_given_direction(path)[2], [read], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)], ids=str)
def test_a_numpy_array_is_read_as_a_row(tmp_path, shape):
    path = numpy_file(VECTOR.reshape(shape), tmp_path / "probe.npy")
    np.testing.assert_allclose(read_given_direction(path)[0], UNIT)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "longdouble"])
def test_every_floating_point_format_of_numpy_is_read(tmp_path, dtype):
    path = numpy_file(np.asfortranarray([VECTOR, VECTOR[::-1]]).astype(dtype), tmp_path / "p.npy")
    np.testing.assert_allclose(read_given_direction(path)[0], [UNIT[0], UNIT[0][::-1]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_floating_point_format_of_torch_is_read_exactly(tmp_path, dtype):
    vector = torch.linspace(-1, 2, 16).to(dtype)
    expected = vector.double().numpy() / np.linalg.norm(vector.double().numpy())
    for path in (
        torch_file(vector, tmp_path / "p.pt"),
        torch_file(torch.nn.Parameter(vector), tmp_path / "parameter.pt"),
        safetensors_file({"direction": vector}, tmp_path / "p.safetensors"),
    ):
        np.testing.assert_allclose(read_given_direction(path)[0], [expected], rtol=1e-15)


def test_rows_of_a_subspace_keep_their_order_and_angles(tmp_path):
    rows = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    actual, *_ = read_given_direction(numpy_file(rows, tmp_path / "p.npy"))
    np.testing.assert_allclose(actual, [[1, 0, 0], [0.5**0.5, 0.5**0.5, 0]])


def test_the_weight_of_a_linear_probe_is_found_beside_its_bias(tmp_path):
    probe = torch.nn.Linear(6, 1)
    expected = probe.weight.detach().double().numpy()
    for path in (
        torch_file(probe.state_dict(), tmp_path / "p.pt"),
        torch_file({"probe.weight": probe.weight, "probe.bias": probe.bias, "accuracy": 0.9},
                   tmp_path / "q.pt"),
        safetensors_file(probe.state_dict(), tmp_path / "p.safetensors"),
    ):  # fmt: skip
        rows, name, _ = read_given_direction(path)
        np.testing.assert_allclose(rows, expected / np.linalg.norm(expected), rtol=1e-12)
        assert name in ("weight", "probe.weight")


@pytest.mark.parametrize("write", [torch_file, safetensors_file])
def test_of_several_tensors_the_one_named_direction_counts(tmp_path, write):
    ending = ".pt" if write is torch_file else ".safetensors"
    tensors = {"a": torch.ones(4), "direction": torch.tensor(VECTOR), "z": torch.ones(4)}
    rows, name, _ = read_given_direction(write(tensors, tmp_path / f"p{ending}"))
    np.testing.assert_allclose(rows, UNIT)
    assert name == "direction"


@pytest.mark.parametrize("write", [torch_file, safetensors_file])
def test_several_tensors_are_listed(tmp_path, write):
    ending = ".pt" if write is torch_file else ".safetensors"
    path = write({"first": torch.ones(4), "second": torch.ones(1, 4)}, tmp_path / f"p{ending}")
    assert_refused(path, "first (4,), second (1, 4)", "'direction'")


def test_of_a_whole_model_only_some_tensors_are_listed(tmp_path):
    path = torch_file({f"layer{n}": torch.ones(4) for n in range(500)}, tmp_path / "p.pt")
    assert_refused(path, "layer7 (4,), …)")


def assert_refused(path, *parts):
    with pytest.raises(InputError) as caught:
        read_given_direction(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence, sentence


WRONG = {
    "three dimensions": (torch.ones(2, 3, 4), "shape (2, 3, 4)"),
    "a number": (torch.tensor(1.0), "shape ()"),
    "one wide": (torch.ones(1, 1), "no row can be a direction"),
    "empty": (torch.ones(0), "no row can be a direction"),
    "rows no wider than nothing": (torch.ones(3, 0), "no row can be a direction"),
    "more rows than columns": (torch.ones(8, 3), "save vectors as rows"),
    "zero": (torch.zeros(4), "zero or holds NaN"),
    "a zero row": (torch.eye(4)[:2] * torch.tensor([[1.0], [0.0]]), "zero or holds NaN"),
    "not a number": (torch.tensor([1.0, float("nan")]), "zero or holds NaN"),
    "infinite": (torch.tensor([1.0, float("inf")]), "zero or holds NaN"),
    "integers": (torch.arange(4), "int64"),
    "truth values": (torch.ones(4) > 0, "bool"),
    "complex": (torch.ones(4, dtype=torch.complex64), "complex64"),
    "8 bits": (torch.ones(4).to(torch.float8_e4m3fn), "float8"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_direction_is_refused_from_torch(tmp_path, what):
    content, part = WRONG[what]
    assert_refused(torch_file(content, tmp_path / "p.pt"), part)


@pytest.mark.parametrize("what", [what for what in WRONG if what != "8 bits"])
def test_what_is_no_direction_is_refused_from_numpy(tmp_path, what):
    content, part = WRONG[what]
    assert_refused(numpy_file(content.numpy(), tmp_path / "p.npy"), part)


@pytest.mark.parametrize("what", [what for what in WRONG if what != "a number"])
def test_what_is_no_direction_is_refused_from_safetensors(tmp_path, what):
    content, part = WRONG[what]
    stored = {"int64": "I64", "bool": "BOOL", "complex64": "C64", "float8": "F8_E4M3"}
    part = "found: w (2, 3, 4)" if what == "three dimensions" else stored.get(part, part)
    assert_refused(safetensors_file({"w": content.contiguous()}, tmp_path / "p.safetensors"), part)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([torch.ones(4)], "holds list"),
        (7, "holds int"),
        ({}, "found: none"),
        ({"state": {"weight": torch.ones(4)}}, "found: none"),
        (torch.ones(4, device="meta"), "meta"),
        (torch.eye(4)[:1].to_sparse(), "sparse"),
    ],
    ids=["list", "int", "empty", "nested", "meta", "sparse"],
)
def test_other_contents_of_a_torch_file_are_refused(tmp_path, content, part):
    assert_refused(torch_file(content, tmp_path / "p.pt"), part)


class Trap:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickled_objects_are_refused_and_their_code_does_not_run(tmp_path):
    sprung = tmp_path / "sprung"
    trapped = torch_file(Trap(sprung), tmp_path / "p.pt")
    assert_refused(trapped, "pickled objects", "torch.save")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(sprung)))
    assert_refused(tmp_path / "plain.pt", "pickled objects")
    objects = np.array([Trap(sprung)], dtype=object)
    assert_refused(numpy_file(objects, tmp_path / "p.npy", allow_pickle=True), "np.save")
    assert not sprung.exists()


@pytest.mark.parametrize("ending", [".pt", ".npy", ".safetensors"])
def test_a_missing_file_and_a_directory_are_named(tmp_path, ending):
    assert_refused(tmp_path / f"absent{ending}", "check the path")
    (tmp_path / f"folder{ending}").mkdir()
    assert_refused(tmp_path / f"folder{ending}", "check the path")


@pytest.mark.parametrize("name", ["probe.npz", "probe.txt", "probe", "probe.PT"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert_refused(tmp_path / name, "ending", ".safetensors")


def test_an_archive_of_arrays_is_no_array(tmp_path):
    np.savez(tmp_path / "p.npz", a=VECTOR)
    (tmp_path / "p.npz").rename(tmp_path / "p.npy")
    assert_refused(tmp_path / "p.npy", "np.save")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A good file of each format."""
    folder = tmp_path_factory.mktemp("intact")
    return {
        ".pt": torch_file(torch.tensor(VECTOR), folder / "p.pt").read_bytes(),
        ".npy": numpy_file(VECTOR, folder / "p.npy").read_bytes(),
        ".safetensors": safetensors_file(
            {"direction": torch.tensor(VECTOR)}, folder / "p.safetensors"
        ).read_bytes(),
    }


@pytest.mark.parametrize("ending", [".pt", ".npy", ".safetensors"])
def test_a_file_cut_anywhere_is_named(tmp_path, intact, ending):
    content = intact[ending]
    for keep in range(0, len(content), max(1, len(content) // 60)):
        (tmp_path / f"p{ending}").write_bytes(content[:keep])
        assert_refused(tmp_path / f"p{ending}")


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data(), st.sampled_from([".pt", ".npy", ".safetensors"]))
def test_damaged_bytes_are_read_as_a_direction_or_refused(tmp_path, intact, data, ending):
    content = bytearray(intact[ending])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / f"p{ending}").write_bytes(content)
    sentence, rows = "", None
    try:
        rows, *_ = read_given_direction(tmp_path / f"p{ending}")
    except InputError as error:
        sentence = str(error)
    if rows is None:
        assert sentence.startswith(f"{tmp_path / f'p{ending}'}: ")
    else:
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
