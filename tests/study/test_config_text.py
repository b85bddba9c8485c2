"""A configuration that cannot be read, or that has a key twice, is named with its line."""

import shlex
from pathlib import Path

import pytest
from support.workflow import PROJECT

from dpo_neurons.errors import InputError
from dpo_neurons.study.config_text import check_config_texts, config_entries, only_looks


def refused(*paths: Path, arguments: str = "") -> str:
    with pytest.raises(InputError) as caught:
        check_config_texts(paths, shlex.split(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nstudy: a\nseed: 2\n", "seed: the key stands twice (lines 1 and 3)"),
        ("a: {seed: 1, seed: 1}\n", "a.seed: the key stands twice (line 1)"),
        ("a:\n- b: 1\n  c: {d: [{e: 1, e: 2}]}\n", "a.0.c.d.0.e: the key stands twice (line 3)"),
        ("\ufeffseed: 1\nseed: 2\n", "seed: the key stands twice"),
        ('"seed": 1\nseed: 2\n', "seed: the key stands twice"),
        ("x: &a {b: 1}\ny: {<<: *a, <<: *a}\n", "y.<<: the key stands twice"),
        ("b: {a: &a [{c: 1}, {c: 1, c: 2}], d: *a}\n", "b.a.1.c: the key stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_lines(tmp_path, text, words):
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    assert refused(path).startswith("my.yaml: ")
    assert words in refused(path)


@pytest.mark.parametrize("text", ['{"seed": 1, "seed": 2}', '{"a": [{"seed": 1,\n\t"seed": 2}]}'])
def test_json_is_checked_too(tmp_path, text):
    (tmp_path / "my.json").write_text(text)
    assert "my.json" in refused(tmp_path / "my.json")
    assert "'seed' stands twice" in refused(tmp_path / "my.json")


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: 1}\nc: {b: 1}\n",
        "x: &a {b: 1, c: 2}\ny: {<<: *a, b: 3}\n",
        "x: &a {b: 1}\ny: [*a, *a, *a]\n",
        "a: &a [*a]\n",
    ],
)
def test_other_texts_pass(tmp_path, text):
    (tmp_path / "my.yaml").write_text(text)
    check_config_texts([tmp_path / "my.yaml"], [])


def test_the_projects_own_studies_pass():
    paths = [
        PROJECT / "config.yaml",
        *(PROJECT / "config").glob("*.yaml"),
        PROJECT / "tests/micro.yaml",
    ]
    assert len(paths) > 5
    check_config_texts(paths, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"study: a\nseed: \xff\n", "my.yaml, line 2: not UTF-8"),
        (b"a: " + b"[" * 20_000, "my.yaml: nested too deeply"),
        (b"study: a\ndata: [\n", "my.yaml, line 3, column 1: not valid YAML (expected the node"),
        (b"study: a\ndata:\n\tseed: 1\n", "my.yaml, line 3, column 1: a tab"),
        (b"study: a\nseed: 1: 2\n", "my.yaml, line 2, column 8: not valid YAML (mapping values"),
        (b"study: a\n---\nstudy: b\n", "my.yaml, line 2, column 1: not valid YAML (but found"),
        (b"study: *a\n", "my.yaml, line 1, column 8: not valid YAML (found undefined alias"),
        (b"study: !!python/name:os.getcwd x\n", "my.yaml, line 1, column 8: not valid YAML"),
        (b"study: a\nday: 2026-13-45\n", "my.yaml: not valid YAML (month must be in 1..12"),
        (b"study: \x07\n", "my.yaml: not valid YAML (unacceptable character #x0007"),
        (b"", "my.yaml: is empty"),
        (b"# study: a\n", "my.yaml: is empty"),
        (b"- study\n", "my.yaml: has no keys at its top level"),
        (b"study\n", "my.yaml: has no keys at its top level"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, content, words):
    (tmp_path / "my.yaml").write_bytes(content)
    assert refused(tmp_path / "my.yaml").startswith(words)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "No such file" in refused(tmp_path / "no.yaml")
    assert "a folder stands where a file should be" in refused(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("figures --config seed=1 seed=2", "--config: the key 'seed' stands twice"),
        ("-C seed=1 --cores 1 --config seed=2", "--config: the key 'seed' stands twice"),
        ("--config=seed=1 --config seed=2", "--config: the key 'seed' stands twice"),
        ("--config 'generation={tokens: 1, tokens: 2}'", "--config generation: tokens: the key"),
        ("--config 'a={b: [{c: 1, c: 2}]}' -n", "--config a: b.0.c: the key stands twice"),
        ("--config \"a={'c': 1, 'c': 2}\"", "--config a: c: the key stands twice"),
    ],
)
def test_entries_of_the_command_line_are_checked(arguments, words):
    assert words in refused(arguments=arguments)


@pytest.mark.parametrize(
    ("arguments", "entries"),
    [
        ("figures --cores 1", []),
        ("--config a=1 b=c=d --cores 1 x=y", ["a=1", "b=c=d"]),
        ("--set-threads a=1 a=1 --config a=: -n", ["a=:"]),
    ],
)
def test_entries_are_those_behind_the_option(arguments, entries):
    assert list(config_entries(shlex.split(arguments))) == entries
    check_config_texts([], shlex.split(arguments))


@pytest.mark.parametrize(
    ("arguments", "looks"),
    [
        ("figures --cores 1", False),
        ("figures -n", True),
        ("figures -np --cores 1", True),
        ("figures --dry-run", True),
        ("--forceall --d3dag -- figures", True),
        ("figures -c1 --config study=n", False),
        ("--report report.html", False),
    ],
)
def test_a_dry_run_is_known_by_its_options(arguments, looks):
    assert only_looks(shlex.split(arguments)) is looks
