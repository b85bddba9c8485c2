"""The Perspective scorer when the service fails or refuses: it tries again, or ends."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.perspective_stand_in import (
    FAST,
    KEY,
    TWO,
    content,
    drips,
    expected,
    fails,
    floods,
    refusal,
    reply_to,
    resets,
    says,
    sleeps,
    standing_in,
    stops_halfway,
    waits,
)

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.perspective import score_by_perspective
from dpo_neurons.scorers.perspective_service import Service
from dpo_neurons.scorers.score_store import open_store

pytest_plugins = ["support.perspective_scoring"]


PASSING = {
    "too many": fails(429),
    "server error": fails(500),
    "gateway": fails(502, body=b"<html>"),
    "unavailable": fails(503, body=b""),
    "timeout there": fails(408),
    "reset": resets,
    "half a reply": stops_halfway,
    "no JSON": says(b'{"attributeScores": {'),
    "no UTF-8": says(b"\xff\xfe\xfa"),
    "deep JSON": says(b"[" * 200_000),
    "a list": says([]),
    "nothing": says({}),
    "an attribute missing": says(content("a", ["INSULT"])),
    "null": says({"attributeScores": {"TOXICITY": None, "INSULT": None}}),
    **{
        f"value {value!r}": says(
            {"attributeScores": {key: {"summaryScore": {"value": value}} for key in TWO}}
        )
        for value in (None, "0.5", True, 1.5, -0.1, float("nan"), float("inf"), 10**400)
    },
}


@pytest.mark.parametrize("failure", PASSING)
def test_a_failure_that_may_pass_is_tried_again(score, service, slept, failure):
    service.script.extend([PASSING[failure]] * 3)
    assert score(["a", "b"])["insult"].tolist() == expected(["a", "b"], "INSULT")
    assert service.texts == ["a"] * 4 + ["b"]
    backed_off = waits(slept)
    assert len(backed_off) == 3
    assert all(seconds <= 2**n for n, seconds in enumerate(backed_off))


def test_a_reply_that_does_not_come_is_not_waited_for(score, service):
    service.script.append(sleeps(4.0))
    began = time.monotonic()
    assert score(["a"], reply_seconds=0.2)["insult"].tolist() == expected(["a"], "INSULT")
    assert 0.2 <= time.monotonic() - began < 3.5
    assert service.texts == ["a", "a"]


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", HEADERS, HEADERS + b'"a'])
def test_a_reply_that_drips_is_not_waited_for(score, service, beginning):
    service.script.append(drips(beginning, seconds=6.0))
    began = time.monotonic()
    assert score(["a"], reply_seconds=0.4)["insult"].tolist() == expected(["a"], "INSULT")
    assert 0.4 <= time.monotonic() - began < 3
    assert service.texts == ["a", "a"]


def test_a_service_that_only_drips_ends_it_with_the_deadline_named(sentence, service):
    service.always = drips(HEADERS, seconds=4.0)
    said = sentence(["a"], tries=2, reply_seconds=0.3)
    assert "2 tries in a row failed, the last with no whole reply in 0.3 seconds" in said


def test_a_reply_without_end_is_not_read(score, sentence, service):
    service.script.append(floods(megabytes=50))
    assert score(["a"])["insult"].tolist() == expected(["a"], "INSULT")
    service.always = floods(megabytes=3)
    assert "the last with a reply of more than 1000000 bytes" in sentence(["b"], tries=2)


def test_a_compressed_reply_is_not_unpacked(sentence, service):
    packed = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Encoding": "gzip"}
    service.always = lambda handler, request: handler.reply(200, packed, headers)
    assert "the last with a reply that is not JSON" in sentence(["a"], tries=2)


def quota(status, reason="RATE_LIMIT_EXCEEDED", message="Quota exceeded", **metadata):
    detail = {"reason": reason, "metadata": metadata}
    error = {"code": status, "message": message, "status": "RESOURCE_EXHAUSTED"}
    return says({"error": error | {"details": [detail]}}, status)


PER_DAY = "AnalyzeRequestsPerDayPerProject"
PER_MINUTE = "AnalyzeRequestsPerMinutePerProject"
USED_UP = {
    "per day": quota(429, quota_limit=PER_DAY),
    "unit": quota(429, quota_unit="1/d/{project}", message="limit 'Requests per day' of service"),
    "none granted": quota(429, quota_limit=PER_MINUTE, quota_limit_value="0"),
    "403": quota(403, quota_limit=PER_DAY),
    "older form": says({"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}, 403),
    "quotaExceeded": says({"error": {"errors": [{"reason": "quotaExceeded"}]}}, 403),
    "message": says({"error": {"message": "Daily Limit Exceeded"}}, 429),
}


@pytest.mark.parametrize("reply", USED_UP)
def test_a_quota_that_is_used_up_ends_it_at_once_with_its_remedy(sentence, service, slept, reply):
    service.always = USED_UP[reply]
    said = sentence(["a"])
    assert "the key's quota is used up (HTTP 4" in said
    assert "wait until it is renewed (a daily one at midnight Pacific time)" in said
    assert len(service.requests) == 1
    assert waits(slept) == []


@pytest.mark.parametrize(
    "reply",
    [
        fails(429),
        quota(429, quota_limit=PER_MINUTE, quota_limit_value="60"),
        quota(403, quota_limit=PER_MINUTE),
        says({"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}, 403),
        says({"error": {"status": "RESOURCE_EXHAUSTED", "details": [None, 3, "x"]}}, 429),
        says(b"", 429),
    ],
)
def test_too_high_a_rate_is_waited_for_and_has_another_remedy(score, sentence, service, reply):
    service.script.extend([reply] * 2)
    assert score(["a"])["insult"].tolist() == expected(["a"], "INSULT")
    service.always = reply
    said = sentence(["b"], tries=3)
    assert "3 tries in a row failed, the last with HTTP 4" in said
    assert "lower the scorer's queries_per_second or run fewer jobs at once" in said


@pytest.mark.parametrize("reason", ["SERVICE_DISABLED", "accessNotConfigured", "BILLING_DISABLED"])
def test_a_service_that_is_not_enabled_has_its_own_remedy(sentence, service, reason):
    service.always = says({"error": {"errors": [{"reason": reason}]}}, 403)
    assert "enable the Perspective Comment Analyzer API" in sentence(["a"])


@pytest.mark.parametrize("header", ["-5", "1.5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "nan"])
def test_a_retry_after_of_any_kind_is_no_traceback(score, service, slept, header):
    service.script.append(fails(429, retry_after=header))
    assert score(["a"])["insult"].tolist() == expected(["a"], "INSULT")
    assert all(wait <= 3 for wait in waits(slept))


@pytest.mark.parametrize("header", ["9" * 30, "9" * 400, "Fri, 31 Dec 9998 23:59:59 GMT"])
def test_a_retry_after_of_ages_ends_it_at_once(sentence, service, slept, header):
    service.script.append(fails(429, retry_after=header))
    said = sentence(["a"])
    assert "HTTP 429 and asks to wait" in said
    assert len(said) < 500
    assert waits(slept) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_in_seconds_is_honoured(score, service, slept, status):
    service.script.append(fails(status, retry_after="17"))
    score(["a"])
    (wait,) = waits(slept)
    assert 17 <= wait <= 18


def test_a_retry_after_as_a_date_is_honoured(score, service, slept):
    moment = datetime.now(UTC) + timedelta(seconds=50)
    service.script.append(fails(429, retry_after=format_datetime(moment, usegmt=True)))
    score(["a"])
    (wait,) = waits(slept)
    assert 45 < wait <= 51


def test_a_service_that_wants_days_of_rest_ends_it_at_once(sentence, service, slept):
    service.script.append(fails(429, retry_after="90000"))
    said = sentence(["a"])
    assert "HTTP 429 and asks to wait 90000 seconds; 0 of 1 texts are scored" in said
    assert waits(slept) == []


def test_the_end_of_patience_says_what_is_kept_and_a_rerun_goes_on(score, sentence, service, store):
    texts = ["a", "b", "c", "d"]
    score(texts[:2])
    service.always = fails(500)
    said = sentence([*texts, "", "a"], tries=4)
    assert "4 tries in a row failed, the last with HTTP 500" in said
    assert f"2 of 4 texts are scored and kept in {store.path}" in said
    assert "run the same command again, which goes on from there" in said
    assert service.texts == ["a", "b", "c", "c", "c", "c"]
    service.always = None
    assert score(texts)["insult"].tolist() == expected(texts, "INSULT")
    assert service.texts[6:] == ["c", "d"]


def test_failures_are_counted_anew_for_each_text(score, service):
    service.script.extend([fails(500), fails(500), fails(429)])
    service.script.append(lambda handler, asked: handler.reply(200, reply_to(asked)))
    service.script.extend([resets, resets, fails(503)])
    assert score(["a", "b"], tries=4)["insult"].tolist() == expected(["a", "b"], "INSULT")


@pytest.mark.usefixtures("no_proxy")
def test_a_service_that_is_gone_is_a_sentence(tmp_path):
    with standing_in() as service:
        asked = Service(service.url, "en", FAST)
    with (
        open_store(tmp_path / "scores.sqlite") as store,
        pytest.raises(InputError, match=r"2 tries in a row failed, .* no reply \(Connection"),
    ):
        score_by_perspective(
            ["a"], TWO, asked, store, KEY, Patience(tries=2, sleep=lambda seconds: None)
        )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, refusal(400, "Unknown requested attribute: NICENESS")[1], "attribute: NICENESS"),
        (400, refusal(400, "What?", errorType="NEW_KIND")[1], "HTTP 400: What?"),
        (400, b"\xff", "HTTP 400)"),
        (400, {"error": {"details": 7, "message": ["x"]}}, "HTTP 400)"),
        (404, b"<html>", "HTTP 404)"),
        (410, {"error": {"message": "The service has closed.\n" + "x" * 999}}, "has closed. xx"),
        (302, b"", "HTTP 302)"),
    ],
)  # fmt: skip
def test_an_error_that_is_not_documented_is_a_sentence(sentence, service, status, body, words):
    service.script.append(says(body, status))
    said = sentence(["a"])
    assert words in said
    assert "check the scorer's endpoint" in said
    assert len(said) < 700
    assert len(service.requests) == 1
