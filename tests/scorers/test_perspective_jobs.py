"""The Perspective scorer in several jobs at once: one rate, and each text asked for once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.perspective_stand_in import (
    KEY,
    TWO,
    expected,
    fails,
    reply_to,
    score_of,
)

from dpo_neurons.scorers import score_store
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.perspective import score_by_perspective
from dpo_neurons.scorers.perspective_service import Service
from dpo_neurons.scorers.score_store import open_store

pytest_plugins = ["support.perspective_scoring"]


SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


@pytest.mark.parametrize(("texts", "failures"), [(10, 0), (1, 9)], ids=["texts", "retries"])
def test_the_rate_is_not_exceeded_and_retries_count(service, store, texts, failures):
    service.script.extend([fails(500)] * failures)
    asked = Service(service.url, "en", 20)
    wanted = [str(number) for number in range(texts)]
    score_by_perspective(wanted, TWO, asked, store, KEY, Patience(first_seconds=1e-6))
    times = [request.time for request in service.requests]
    assert len(times) == 10
    assert times[-1] - times[0] >= 9 / 20 - 0.2


def test_texts_that_another_job_scored_meanwhile_are_not_asked_and_take_no_turn(
    service, tmp_path, slept
):
    path = tmp_path / "scores.sqlite"
    asked = Service(service.url, "en", 1)
    patience = Patience(sleep=slept.append)

    def other_job(handler, request):
        with open_store(path) as theirs:
            for text in "bcd":
                theirs.keep(asked.store_key(text), {name: score_of(text, name) for name in TWO})
        handler.reply(200, reply_to(request))

    service.script.append(other_job)
    with open_store(path) as ours:
        table = score_by_perspective(list("abcde"), TWO, asked, ours, KEY, patience)
    assert table["insult"].tolist() == expected("abcde", "INSULT")
    assert service.texts == ["a", "e"]
    assert len(slept) == 2


JOB = """
import sys
from pathlib import Path
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.perspective import score_by_perspective
from dpo_neurons.scorers.perspective_service import Service
from dpo_neurons.scorers.score_store import open_store
url, path, key, *texts = sys.argv[1:]
with open_store(Path(path)) as store:
    table = score_by_perspective(
        texts, ["TOXICITY", "INSULT"], Service(url, "en", 1000), store, key, Patience()
    )
print(table["insult"].tolist())
"""


@pytest.mark.slow
def test_several_jobs_at_once_ask_for_each_text_once(service, tmp_path):
    service.latency = 0.15
    texts = [str(number) for number in range(12)]
    command = [sys.executable, "-c", JOB, service.url, str(tmp_path / "scores.sqlite"), KEY, *texts]
    jobs = [
        subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [job.communicate(timeout=60) for job in jobs]
    assert [json.loads(out) for out, _ in said] == [expected(texts, "INSULT")] * 4, said
    assert sorted(service.texts) == sorted(texts)


def test_a_text_whose_job_died_is_asked_for_when_its_claim_has_ended(
    service, tmp_path, monkeypatch
):
    clock = [1000.0]
    monkeypatch.setattr(score_store.time, "time", lambda: clock[0])
    asked, slept = Service(service.url, "en", 1e6), []

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds

    patience = Patience(sleep=sleep, reply_seconds=5.0)
    with open_store(tmp_path / "scores.sqlite") as store:
        assert store.claim(asked.store_key("a"), "a job that dies", 7.0)
        table = score_by_perspective(list("ab"), TWO, asked, store, KEY, patience)
    assert table["insult"].tolist() == expected("ab", "INSULT")
    assert service.texts == ["b", "a"]
    assert 7 <= sum(slept) < 9


def test_a_job_that_ends_leaves_no_claim(score, sentence, service, store):
    service.always = fails(500)
    sentence(["a"], tries=2)
    key = Service(service.url, "en", 1).store_key("a")
    assert store.claim(key, "another", 60.0)
    store.release(key, "another")
    service.always = None
    score(["a"])
    (count,) = store.connection.execute("SELECT COUNT(*) FROM claims").fetchone()
    assert count == 0
