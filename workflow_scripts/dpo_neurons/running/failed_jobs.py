"""Why jobs failed, named once more at the end of a run: hours may lie between the two."""

import re
from collections.abc import Iterable
from pathlib import Path

BLOCK = re.compile(r"^Error in rule (?P<rule>\S+):\n(?P<facts>(?: {4}.*\n)+)", re.MULTILINE)
OUTPUT = re.compile(r"^ {4}output: (?P<output>[^,\n]+)", re.MULTILINE)
LOG = re.compile(r"^ {4}log: (?P<log>.+?)(?: \(check log file.*)?$", re.MULTILINE)
SIGNAL = re.compile(r"died with <Signals\.(?P<name>\w+)")
BEFORE_BLOCK = 3
"""Lines before a block that may name the signal that ended the job."""
LONGEST = 500
"""Characters of a cause that are shown."""


def describe_failed_jobs(logs: Iterable[Path]) -> list[str]:
    """Describe each job that failed in a run: a line each, with rule, first output and cause.

    logs: Snakemake's own log files. The cause is the last line of the job's log, which is its
    error's sentence, or the signal that ended it.
    """
    lines = []
    for path in logs:
        text = path.read_text(encoding="utf-8", errors="replace")
        for block in BLOCK.finditer(text):
            output, log = OUTPUT.search(block["facts"]), LOG.search(block["facts"])
            before = "\n".join(text[: block.start()].splitlines()[-BEFORE_BLOCK:])
            signal = SIGNAL.search(before)
            log_path = Path(log["log"]) if log else None
            name = f"{block['rule']} ({output['output']})" if output else block["rule"]
            lines.append(f"{name}: {_find_cause(log_path, signal['name'] if signal else None)}")
    return lines


def _find_cause(log: Path | None, signal: str | None) -> str:
    if signal is not None:
        killed = " (a full memory does that)" if signal == "SIGKILL" else ""
        return f"ended by {signal}{killed}"
    if log is None or not log.is_file():
        return "left no log; see above"
    written = log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = next((line.strip() for line in reversed(written) if line.strip()), "its log is empty")
    return f"{last[:LONGEST]} [{log}]"
