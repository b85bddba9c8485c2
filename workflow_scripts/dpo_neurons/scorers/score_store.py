"""Scores of remote scorers, kept for good in one SQLite file that many processes share.

Every score is committed when it arrives. The file also paces all processes that ask a service,
and tells them which texts the others are asking for.
"""

import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dpo_neurons.errors import InputError

APPLICATION_ID = 0x44504F53
"""Marks a file as a store of scores: no other database is written to."""
BUSY_SECONDS = 60.0
"""How long to wait for another process's write."""
FURTHEST_SLOT = 1000
"""A slot more intervals ahead than this comes from a clock that was set back."""

TABLES = (
    """CREATE TABLE scores (
        scorer TEXT NOT NULL, language TEXT NOT NULL, text TEXT NOT NULL, attribute TEXT NOT NULL,
        score REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
        PRIMARY KEY (scorer, language, text, attribute)
    ) WITHOUT ROWID""",
    "CREATE TABLE pace (scorer TEXT PRIMARY KEY, next_slot REAL NOT NULL) WITHOUT ROWID",
)
CLAIMS = """CREATE TABLE IF NOT EXISTS claims (
    scorer TEXT NOT NULL, language TEXT NOT NULL, text TEXT NOT NULL,
    owner TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (scorer, language, text)
) WITHOUT ROWID"""
"""Added to stores of earlier versions too."""
LONGEST_CLAIM = 2 * 3600.0
"""A claim that lasts longer than these seconds comes from a clock that was set back."""

OF_TEXT = "scorer = ? AND language = ? AND text = ?"


class TextKey(NamedTuple):
    """What a text's scores are kept under."""

    scorer: str
    language: str
    text: str


@dataclass(frozen=True)
class ScoreStore:
    """An open store; see `open_store`."""

    path: Path
    connection: sqlite3.Connection

    def find(self, key: TextKey) -> dict[str, float]:
        """Return the scores kept for a text, by attribute.

        Raises InputError if the file is damaged.
        """
        with _explained(self.path):
            rows = self.connection.execute(
                "SELECT attribute, score FROM scores WHERE scorer = ? AND language = ? "
                "AND text = ?",
                key,
            )
            return dict(rows.fetchall())

    def keep(self, key: TextKey, scores: dict[str, float]) -> None:
        """Keep scores, each in [0, 1], of a text, and end any claim on it.

        Scores that are there already stay as they are.
        Raises InputError if the file is damaged or the disk is full.
        """
        rows = [(*key, name, score) for name, score in scores.items()]
        with _explained(self.path), _transaction(self.connection):
            self.connection.executemany(
                "INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
            )
            self.connection.execute(f"DELETE FROM claims WHERE {OF_TEXT}", key)

    def claim(self, key: TextKey, owner: str, seconds: float) -> bool:
        """Claim a text for some seconds, or longer if it is this owner's already.

        owner: of `name_owner`. Returns false if another owner has claimed it, and that process has
        not died on this machine.
        Raises InputError if the file is damaged or the disk is full.
        """
        with _explained(self.path), _transaction(self.connection):
            now = time.time()
            row = self.connection.execute(
                f"SELECT owner, until FROM claims WHERE {OF_TEXT}", key
            ).fetchone()
            others = row is not None and row[0] != owner and not _has_died(row[0])
            if others and now < row[1] < now + LONGEST_CLAIM:
                return False
            self.connection.execute(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?)",
                (*key, owner, now + seconds),
            )
        return True

    def release(self, key: TextKey, owner: str) -> None:
        """End this owner's claim on a text, if it has one."""
        with _explained(self.path), _transaction(self.connection):
            self.connection.execute(
                f"DELETE FROM claims WHERE {OF_TEXT} AND owner = ?", (*key, owner)
            )

    def reserve_slot(self, scorer: str, interval: float) -> float:
        """Reserve the next moment to ask a service and return the seconds until then.

        The moments of all processes that share the store are at least `interval` seconds apart.
        """
        with _explained(self.path), _transaction(self.connection):
            now = time.time()
            row = self.connection.execute(
                "SELECT next_slot FROM pace WHERE scorer = ?", (scorer,)
            ).fetchone()
            slot = now if row is None else max(now, row[0])
            if slot > now + FURTHEST_SLOT * interval:
                slot = now
            self.connection.execute(
                "INSERT OR REPLACE INTO pace VALUES (?, ?)", (scorer, slot + interval)
            )
        return slot - now


def name_owner() -> str:
    """Return a new name for an owner of claims, which says in which process it lives."""
    return f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"


def _has_died(owner: str) -> bool:
    """Whether an owner's process ran on this machine and is gone."""
    host, _, rest = owner.partition(" ")
    process = rest.partition(" ")[0]
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # it lives and is another user's, or the number is none of a process
    return False


@contextmanager
def open_store(path: Path) -> Iterator[ScoreStore]:
    """Open a store for the block, or make a new one.

    Raises InputError if the file is damaged, is something else, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: the store's folder cannot be made ({error.strerror}); "
            "set the scorer's store to a path that can be written"
        ) from error
    with _explained(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    with closing(connection):
        with _explained(path):
            _prepare(path, connection)
        yield ScoreStore(path, connection)


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        (marked,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if tables == 0:
            for table in TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        elif marked != APPLICATION_ID:
            raise InputError(
                f"{path}: an SQLite file, but no store of scores; set the scorer's store to "
                "another path"
            )
        connection.execute(CLAIMS)
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    if path.stat().st_size % page:
        # SQLite would read the missing bytes of the last page as zeros.
        raise sqlite3.DatabaseError("the last page is cut off")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    _write_ahead(connection)


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Then readers and writers do not wait for each other. SQLite does not wait for this lock.
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(0.01)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) is sqlite3.OperationalError:
            remedy = "check that its folder can be written, has room and is on a local disk"
            raise InputError(
                f"{path}: the store of scores cannot be used ({error}); {remedy}"
            ) from error
        if type(error) is sqlite3.DatabaseError:
            raise InputError(
                f"{path}: the store of scores is damaged ({' '.join(str(error).split())}); put a "
                "copy in its place, or move it away to have every text scored anew"
            ) from error
        raise
