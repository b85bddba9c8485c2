"""Continuations scored by a service: passing failures, killed jobs, jobs at once, the store."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
from support.perspective_stand_in import KEY, fails, resets, score_of, sleeps, standing_in
from support.scoring_program import (
    ATTRIBUTES,
    PROGRAM,
    environment,
    perspective,
    run,
    started,
    written,
)

TEXTS = [f"continuation {number % 40}" for number in range(50)] + ["", "ümläut 🦆", " "]


@pytest.fixture
def continuations(tmp_path):
    """A file of continuations, some equal, some blank."""
    return written(tmp_path / "continuations.jsonl", TEXTS)


def expected_table(texts):
    rows = []
    for text in texts:
        scores = [score_of(text, name) if text.strip() else 0.0 for name in ATTRIBUTES]
        rows.append([max(scores), *scores])
    table = pd.DataFrame(rows, columns=["toxicity", "toxicity_attribute", "insult", "threat"])
    table.insert(0, "intervention", "patch_x")
    return table


def test_perspective_scores_and_a_second_run_asks_nothing(tmp_path, continuations):
    with standing_in() as service:
        options = perspective(service.url, continuations, tmp_path)
        status, err = run(options, KEY)
        assert status == 0, err
        assert len(service.requests) == 41
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "scores.parquet"), expected_table(TEXTS), check_exact=True
        )
        assert "53 texts: 2 are blank and score 0; 0 are cut" in err
        assert "41 different texts to score, 0 of them in" in err
        assert "asking:" in err
        assert KEY not in err
        assert run(options, KEY)[0] == 0
        assert len(service.requests) == 41


def test_a_finished_study_needs_no_key_and_no_service(tmp_path, continuations):
    with standing_in() as service:
        options = perspective(service.url, continuations, tmp_path)
        assert run(options, KEY)[0] == 0
    before = (tmp_path / "scores.parquet").read_bytes()
    (tmp_path / "scores.parquet").unlink()
    status, err = run(options)
    assert status == 0, err
    assert (tmp_path / "scores.parquet").read_bytes() == before
    written(continuations, [*TEXTS, "something new"])
    status, err = run(options)
    assert status == 1
    assert err.splitlines()[-1].startswith(
        "Error: PERSPECTIVE_API_KEY is not set, but 1 of 42 texts are not yet in"
    )


@pytest.mark.slow
def test_a_study_killed_midway_asks_for_nothing_twice(tmp_path, continuations):
    with standing_in(latency=0.02) as service:
        options = perspective(service.url, continuations, tmp_path)
        for asked in (5, 13, 30):
            process = started(options, KEY)
            until = time.monotonic() + 60
            while len(service.requests) < asked and time.monotonic() < until:
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            process.communicate()
            assert not (tmp_path / "scores.parquet").exists()
        assert 30 <= len(service.requests) < 41
        status, err = run(options, KEY)
        assert status == 0, err
        times = Counter(service.texts)
        assert len(times) == 41
        # A request in flight when the process was killed had no reply yet.
        assert sum(times.values()) <= 41 + 3
        assert max(times.values()) <= 2
        undisturbed = tmp_path / "undisturbed"
        assert run(perspective(service.url, continuations, undisturbed), KEY)[0] == 0
    again, once = (folder / "scores.parquet" for folder in (tmp_path, undisturbed))
    assert again.read_bytes() == once.read_bytes()


@pytest.mark.slow
def test_jobs_that_score_at_once_share_the_store_and_the_rate(tmp_path):
    shared = [f"shared {number}" for number in range(15)]
    own = [[f"own {job} {number}" for number in range(10)] for job in range(3)]
    texts = [shared + own[0], own[1] + shared, shared[::-1] + own[2]]
    with standing_in(latency=0.01) as service:
        jobs = [
            started(
                perspective(
                    service.url, written(tmp_path / f"{job}.jsonl", texts_of_job), tmp_path, job, 20
                ),
                KEY,
            )
            for job, texts_of_job in enumerate(texts)
        ]
        said = [job.communicate(timeout=120)[1] for job in jobs]
        assert [job.returncode for job in jobs] == [0, 0, 0], said
        asked = sorted(request.time for request in service.requests)
        times = Counter(service.texts)
    assert set(times) == {text for texts_of_job in texts for text in texts_of_job}
    # Only texts in flight in both jobs are requested twice; without a store it would be 75.
    assert len(asked) <= 45 + 10
    assert asked[-1] - asked[0] >= (len(asked) - 1) / 20 - 0.5
    for job, texts_of_job in enumerate(texts):
        table = pd.read_parquet(tmp_path / f"{job}.parquet")
        pd.testing.assert_frame_equal(table, expected_table(texts_of_job), check_exact=True)


QUICK = """
import sys
import score_continuations
from dpo_neurons.scorers import backoff
from dpo_neurons.running.program import run_program
class Hurried(backoff.Patience):
    def __init__(self):
        super().__init__(first_seconds=0.01, longest_seconds=0.02, reply_seconds=0.3)
backoff.Patience = Hurried
run_program(score_continuations.main)
"""


def run_hurried(options, key):
    done = subprocess.run(
        [sys.executable, "-c", QUICK, *map(str, options)], cwd=PROGRAM.parent, env=environment(key),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_study_comes_through_every_passing_failure(tmp_path, continuations):
    with standing_in() as service:
        service.script.extend([None, fails(500), resets, fails(429, "0"), None, sleeps(0.5)] * 3)
        status, err = run_hurried(perspective(service.url, continuations, tmp_path), KEY)
        assert status == 0, err
        assert Counter(service.texts).total() == 41 + 12
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "scores.parquet"), expected_table(TEXTS), check_exact=True
    )


@pytest.mark.parametrize(
    ("always", "words"),
    [(fails(500), "10 tries in a row failed, the last with HTTP 500"),
     (resets, "no reply (ConnectionError)"), (fails(403), "refuses the key (HTTP 403: not now)")],
)  # fmt: skip
def test_an_outage_midway_ends_in_one_sentence_and_a_rerun_goes_on(
    tmp_path, continuations, always, words
):
    with standing_in() as service:
        service.script.extend([None] * 7)
        service.always = always
        options = perspective(service.url, continuations, tmp_path)
        status, err = run_hurried(options, KEY)
        assert status == 1
        last = err.splitlines()[-1]
        assert last.startswith(f"Error: {service.url}: ")
        assert words in last
        assert f"7 of 41 texts are scored and kept in {tmp_path / 'store.sqlite'}" in last
        assert "Traceback" not in err
        assert KEY not in err
        assert sorted(path.name for path in tmp_path.glob("*.parquet")) == []
        service.always = None
        service.requests.clear()
        assert run(options, KEY)[0] == 0
        assert len(service.requests) == 34


def test_a_damaged_store_is_one_sentence(tmp_path, continuations):
    (tmp_path / "store.sqlite").write_bytes(b"noise" * 1000)
    status, err = run(perspective("http://127.0.0.1:9", continuations, tmp_path), KEY)
    assert status == 1
    assert "store.sqlite: the store of scores is damaged" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY} "])
def test_blanks_around_the_key_are_not_part_of_it(tmp_path, key):
    continuations = written(tmp_path / "c.jsonl", ["a"])
    with standing_in() as service:
        assert run(perspective(service.url, continuations, tmp_path), key)[0] == 0


def test_half_a_surrogate_pair_is_scored_as_a_question_mark(tmp_path):
    continuations = written(tmp_path / "c.jsonl", ["fine \ud83d"])
    with standing_in() as service:
        status, err = run(perspective(service.url, continuations, tmp_path), KEY)
        assert status == 0, err
        assert service.texts == ["fine ?"]


def test_the_store_is_readable_by_anything_that_reads_sqlite(tmp_path):
    continuations = written(tmp_path / "c.jsonl", ["a"])
    with standing_in() as service:
        assert run(perspective(service.url, continuations, tmp_path), KEY)[0] == 0
        host = service.url.removeprefix("http://")
    rows = sqlite3.connect(tmp_path / "store.sqlite").execute("SELECT * FROM scores").fetchall()
    wanted = [(f"perspective {host}", "en", "a", name, score_of("a", name)) for name in ATTRIBUTES]
    assert sorted(rows) == sorted(wanted)
