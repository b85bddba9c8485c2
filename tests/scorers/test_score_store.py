"""The store of scores: no loss, no duplicates, shared by processes, damage detected."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.scorers import score_store
from dpo_neurons.scorers.score_store import TextKey, name_owner, open_store

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
TEXTS = ["fool", "Fool", "fool ", "日本\u0000🦆", "", "a'; DROP TABLE scores; --", "é", "e\u0301"]
"""All different, though some look the same."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "scores.sqlite"


@pytest.fixture
def store(path):
    with open_store(path) as opened:
        yield opened


def processes(code, count, *arguments):
    """Run a program `count` times at once; its last argument is which one it is."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments), str(number)],
            cwd=SCRIPTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    done = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * count, done
    return [out for out, _ in done]


def test_scores_come_back_as_they_were_to_the_last_bit(store, path):
    scores = {"A": 0.1, "B": 1 / 3, "C": 5e-324, "D": 1.0, "E": 0.0}
    for text in TEXTS:
        store.keep(TextKey("one", "en", text), scores)
    with open_store(path) as again:
        assert [again.find(TextKey("one", "en", text)) for text in TEXTS] == [scores] * len(TEXTS)


def test_scorers_languages_and_texts_do_not_mix(store):
    keys = [("one", "en", text) for text in TEXTS]
    keys += [("two", "en", "fool"), ("one", "de", "fool"), ("one", "", "fool")]
    for number, key in enumerate(keys):
        store.keep(key, {"A": number / 100})
    assert [store.find(key) for key in keys] == [{"A": n / 100} for n in range(len(keys))]
    assert store.find(TextKey("two", "de", "fool")) == {}
    assert store.find(TextKey("one", "en", "foo")) == {}


def test_attributes_add_up_and_the_first_score_stands(store):
    store.keep(TextKey("one", "en", "fool"), {"A": 0.25})
    store.keep(TextKey("one", "en", "fool"), {"A": 0.75, "B": 0.5})
    assert store.find(TextKey("one", "en", "fool")) == {"A": 0.25, "B": 0.5}


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), None])
def test_what_is_no_score_is_not_kept(store, score):
    with pytest.raises(sqlite3.IntegrityError):
        store.keep(TextKey("one", "en", "fool"), {"A": 0.5, "B": score})
    assert store.find(TextKey("one", "en", "fool")) == {}
    store.keep(TextKey("one", "en", "fool"), {"A": 0.5})
    assert store.find(TextKey("one", "en", "fool")) == {"A": 0.5}


WRITE = """
import sys
from pathlib import Path
from dpo_neurons.scorers.score_store import TextKey, name_owner, open_store
path, number = Path(sys.argv[1]), int(sys.argv[2])
with open_store(path) as store:
    for text in range(60):
        store.keep(TextKey("one", "en", f"same {text}"), {"A": (number + 1) / 10})
        store.keep(TextKey("one", "en", f"own {number} {text}"), {"A": 0.5, "B": text / 60})
"""


def test_processes_that_make_and_write_one_store_at_once_lose_nothing(path):
    processes(WRITE, 6, path)
    with open_store(path) as store:
        for text in range(60):
            assert store.find(TextKey("one", "en", f"same {text}"))["A"] in [
                n / 10 for n in range(1, 7)
            ]
            for number in range(6):
                found = store.find(TextKey("one", "en", f"own {number} {text}"))
                assert found == {"A": 0.5, "B": text / 60}
    (rows,) = sqlite3.connect(path).execute("SELECT COUNT(*) FROM scores").fetchone()
    assert rows == 60 + 6 * 60 * 2


KEEP_ON = """
import sys
from pathlib import Path
from dpo_neurons.scorers.score_store import TextKey, name_owner, open_store
with open_store(Path(sys.argv[1])) as store:
    for text in range(100000):
        store.keep(TextKey("one", "en", str(text)), {"A": 0.5, "B": 0.25})
        print(text, flush=True)
"""


def test_what_was_kept_survives_a_kill(path):
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP_ON, path], cwd=SCRIPTS, stdout=subprocess.PIPE, text=True
    )
    said = [process.stdout.readline() for _ in range(30)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.stdout.read().splitlines()
    process.wait()
    assert len(said) >= 30
    with open_store(path) as store:
        for text in range(len(said)):
            assert store.find(TextKey("one", "en", str(text))) == {"A": 0.5, "B": 0.25}


SLOTS = """
import sys, time
from pathlib import Path
from dpo_neurons.scorers.score_store import TextKey, name_owner, open_store
with open_store(Path(sys.argv[1])) as store:
    for _ in range(10):
        wait = store.reserve_slot("one", 0.05)
        print(time.time() + wait)
        time.sleep(wait)
"""


def test_moments_to_ask_of_all_processes_lie_an_interval_apart(path):
    said = processes(SLOTS, 3, path)
    moments = sorted(float(line) for out in said for line in out.split())
    # What a process prints is a little later than what it reserved.
    assert len(moments) == 30
    assert moments[-1] - moments[0] >= 29 * 0.05 - 0.5


def test_a_process_alone_waits_an_interval_from_one_moment_to_the_next(store, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(score_store.time, "time", lambda: clock[0])
    assert store.reserve_slot("one", 2.0) == 0
    assert store.reserve_slot("one", 2.0) == 2
    assert store.reserve_slot("two", 2.0) == 0
    clock[0] = 1003.0
    assert store.reserve_slot("one", 2.0) == 1
    clock[0] = 2000.0
    assert store.reserve_slot("one", 2.0) == 0


def test_a_clock_that_was_set_back_does_not_stop_everything(store, monkeypatch):
    clock = [1e9]
    monkeypatch.setattr(score_store.time, "time", lambda: clock[0])
    store.reserve_slot("one", 1.0)
    clock[0] -= 86400
    assert store.reserve_slot("one", 1.0) == 0
    assert store.reserve_slot("one", 1.0) == 1


@pytest.fixture
def full(path):
    """A store of a few pages, closed."""
    with open_store(path) as store:
        for text in range(300):
            store.keep(TextKey("one", "en", f"a text, number {text}"), {"A": 0.5, "B": 0.25})
    return path


def reads(path):
    with open_store(path) as store:
        return [store.find(TextKey("one", "en", f"a text, number {text}")) for text in range(300)]


@pytest.mark.parametrize("kept", [50, 4096, 4097, 10000, -4096, -1])
def test_a_truncated_store_is_named(full, kept):
    content = full.read_bytes()
    full.write_bytes(content[:kept])
    with pytest.raises(InputError, match="the store of scores is damaged") as caught:
        reads(full)
    assert str(full) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("offset", [0, 100, 4096, 8192])
def test_an_overwritten_page_is_named(full, offset):
    content = bytearray(full.read_bytes())
    content[offset : offset + 512] = b"\xff" * 512
    full.write_bytes(content)
    with pytest.raises(InputError, match="the store of scores is damaged"):
        reads(full)


def test_something_else_than_a_store_is_left_as_it_is(tmp_path):
    text, database = tmp_path / "a.txt", tmp_path / "b.sqlite"
    text.write_text("not a database, but long enough to look at: " + "x" * 1000)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE poems (line)")
    connection.close()
    before = text.read_bytes(), database.read_bytes()
    with pytest.raises(InputError, match=r"a\.txt: the store of scores is damaged"):
        reads(text)
    with pytest.raises(InputError, match=r"b\.sqlite: an SQLite file, but no store of scores"):
        reads(database)
    assert (text.read_bytes(), database.read_bytes()) == before


def test_a_folder_that_cannot_be_made_and_a_path_that_is_one_are_sentences(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="the store's folder cannot be made"):
        reads(tmp_path / "file" / "scores.sqlite")
    with pytest.raises(InputError, match="the store of scores cannot be used"):
        reads(tmp_path)


def test_another_process_that_does_not_let_go_is_a_sentence(full, monkeypatch):
    monkeypatch.setattr(score_store, "BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(full, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(InputError, match=r"cannot be used \(database is locked\)"):
        reads(full)
    holder.close()
    assert reads(full)[0] == {"A": 0.5, "B": 0.25}


def test_a_claim_keeps_others_off_until_it_ends_or_is_released(store, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(score_store.time, "time", lambda: clock[0])
    key = TextKey("one", "en", "fool")
    assert store.claim(key, "a", 10)
    assert not store.claim(key, "b", 10)
    assert store.claim(TextKey("one", "de", "fool"), "b", 10)
    assert store.claim(key, "a", 20)
    clock[0] = 1015
    assert not store.claim(key, "b", 10)
    clock[0] = 1021
    assert store.claim(key, "b", 10)
    assert not store.claim(key, "a", 10)
    store.release(key, "a")
    assert not store.claim(key, "a", 10)
    store.release(key, "b")
    assert store.claim(key, "a", 10)
    store.keep(key, {"A": 0.5})
    assert store.claim(key, "c", 10)


def test_a_claim_of_a_process_that_has_died_here_does_not_last(store):
    key = TextKey("one", "en", "fool")
    name = "from dpo_neurons.scorers.score_store import name_owner; print(name_owner())"
    dead = subprocess.run([sys.executable, "-c", name], capture_output=True, text=True, check=True)
    assert store.claim(key, dead.stdout.strip(), 1000)
    assert store.claim(key, "another", 1000)
    # A process of another machine may live, whatever has its number here.
    elsewhere = dead.stdout.strip().replace(socket.gethostname(), "elsewhere")
    assert store.claim(TextKey("one", "en", "oaf"), elsewhere, 1000)
    assert not store.claim(TextKey("one", "en", "oaf"), "another", 1000)


def test_a_claim_of_a_process_that_lives_here_lasts(store):
    key, owner = TextKey("one", "en", "fool"), name_owner()
    assert owner != name_owner()
    assert store.claim(key, owner, 1000)
    assert not store.claim(key, name_owner(), 1000)


def test_a_claim_of_a_clock_that_was_set_back_does_not_last(store, monkeypatch):
    clock = [1e6]
    monkeypatch.setattr(score_store.time, "time", lambda: clock[0])
    key = TextKey("one", "en", "fool")
    assert store.claim(key, "a", 60)
    clock[0] = 1000
    assert store.claim(key, "b", 60)


def test_a_store_of_an_earlier_version_gets_what_it_lacks(tmp_path):
    path = tmp_path / "scores.sqlite"
    key = TextKey("one", "en", "fool")
    with open_store(path) as store:
        store.keep(key, {"A": 0.5})
        store.connection.execute("DROP TABLE claims")
    with open_store(path) as store:
        assert store.find(key) == {"A": 0.5}
        assert store.claim(key, "a", 1)
