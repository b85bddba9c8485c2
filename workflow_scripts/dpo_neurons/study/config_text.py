"""The text of a configuration: what no YAML reader takes, and keys of which it takes the last."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import describe_fault
from dpo_neurons.files.json_text import parse_json

LOOKING = (
    "--dry-run",
    "--dryrun",
    "--dag",
    "--d3dag",
    "--rulegraph",
    "--summary",
    "--lint",
    "--list",
)


def check_config_texts(paths: Iterable[Path], arguments: Sequence[str]) -> None:
    """Check the configuration's files and the --config entries of a command line.

    arguments: Snakemake's command line, with or without such entries.
    Raises InputError for a file that cannot be read, that is no YAML or that has no keys, and for a
    key that stands twice, at any depth.
    """
    for path in paths:
        _check_file(path)
    seen: set[str] = set()
    for entry in config_entries(arguments):
        key, _, value = entry.partition("=")
        if key in seen:
            raise InputError(f"--config: the key {key!r} stands twice; leave one of them out")
        seen.add(key)
        _check_keys(f"--config {key}", value)


def config_entries(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the entries key=value that follow --config or -C on a command line."""
    inside = False
    for word in arguments:
        option, sign, entry = word.partition("=")
        if option in ("--config", "-C"):
            inside = not sign
            if sign:
                yield entry
        elif word.startswith("-"):
            inside = False
        elif inside and sign:
            yield word


def only_looks(arguments: Sequence[str]) -> bool:
    """Whether a command line of Snakemake asks for a dry run or a summary, which write nothing."""
    return any(
        word in LOOKING or (word.startswith("-") and word[1:2] != "-" and "n" in word)
        for word in arguments
    )


def _check_file(path: Path) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(describe_fault(error, path) or f"{path}: {error}") from None
    if content.lstrip()[:1] == b"{" and path.suffix == ".json":
        parse_json(content, path.name, "correct the file")
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path.name}, line {line}: not UTF-8; save the file in that encoding"
        ) from None
    _check_syntax(path.name, text)
    _check_keys(path.name, text)


def _check_syntax(source: str, text: str) -> None:
    """Raise InputError for a file's text that is no YAML, or whose YAML is no mapping."""
    try:
        value = yaml.safe_load(text)
    except RecursionError:
        raise InputError(f"{source}: nested too deeply; correct the file") from None
    except yaml.MarkedYAMLError as error:
        raise InputError(_describe_mistake(source, text, error)) from None
    except (yaml.YAMLError, ValueError) as error:  # a control character; a date such as 2026-13-45
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: not valid YAML ({reason}); correct the file") from None
    if not isinstance(value, dict):
        raise InputError(
            f"{source}: {'is empty' if value is None else 'has no keys at its top level'}; write a "
            "study as lines of the form key: value, such as study: my_study"
        )


def _describe_mistake(source: str, text: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return f"{source}: not valid YAML ({error.problem}); correct the file"
    place = f"{source}, line {mark.line + 1}, column {mark.column + 1}"
    if text[mark.index : mark.index + 1] == "\t":
        return f"{place}: a tab, which YAML does not take there; put spaces in its place"
    return f"{place}: not valid YAML ({error.problem}); correct that line or the one before it"


def _check_keys(source: str, text: str) -> None:
    """Raise InputError for a key that stands twice; a text that is no YAML has no keys."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # an entry of --config may be a plain text
        return
    except RecursionError:
        raise InputError(f"{source}: nested too deeply; correct the file") from None
    _check_node(source, root, (), set())


def _check_node(
    source: str, node: yaml.Node | None, path: tuple[str, ...], checked: set[int]
) -> None:
    """Check a node and those below it, each once: an anchor may stand for a node many times."""
    if node is None or id(node) in checked:
        return
    checked.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _check_node(source, item, (*path, str(number)), checked)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and name in lines:
                raise _duplicate(source, (*path, name), lines[name], line)
            lines[name] = line
            _check_node(source, value, (*path, name), checked)


def _duplicate(source: str, path: tuple[str, ...], first: int, second: int) -> InputError:
    where = f"lines {first} and {second}" if first != second else f"line {first}"
    return InputError(
        f"{source}: {'.'.join(path)}: the key stands twice ({where}), and only the last would "
        "count; leave one of them out"
    )
