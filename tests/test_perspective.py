"""The Perspective scorer against a stand-in on loopback that answers, refuses and breaks."""

import json
import logging
import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perspective_stand_in import (
    KEY,
    content,
    fails,
    refusal,
    resets,
    says,
    score_of,
    sleeps,
    standing_in,
    stops_halfway,
)

from dpo_neurons.backoff import Patience
from dpo_neurons.errors import InputError
from dpo_neurons.perspective_service import Service
from dpo_neurons.score_store import open_store
from dpo_neurons.scorers.perspective import cut_to_bytes, score_by_perspective

TWO = ["TOXICITY", "INSULT"]
FAST = 1e6
"""Queries a second."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def service():
    with standing_in() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "scores.sqlite") as opened:
        yield opened


@pytest.fixture
def slept():
    """How long the scorer would have slept."""
    return []


@pytest.fixture
def score(service, store, slept):
    """Score texts by the stand-in, without sleeping: score(texts, …)."""

    def scored(texts, attributes=TWO, key=KEY, language="en", path="", **patience):
        asked = Service(service.url + path, language, FAST)
        patience = {"reply_seconds": 5.0, "sleep": slept.append} | patience
        return score_by_perspective(texts, attributes, asked, store, key, Patience(**patience))

    return scored


@pytest.fixture
def sentence(score):
    """The one sentence that scoring ends with, checked to be one and to hold no key."""

    def said(*arguments, **settings):
        with pytest.raises(InputError) as caught:
            score(*arguments, **settings)
        assert "\n" not in str(caught.value)
        assert KEY not in str(caught.value)
        return str(caught.value)

    return said


def expected(texts, attribute):
    return [score_of(text, attribute) for text in texts]


def waits(slept):
    """Sleeps that were none of waiting for a slot."""
    return [seconds for seconds in slept if seconds > 2 / FAST]


TEXTS = ["a fool", "a friend", "日本 🦆", 'quote " back \\ nul \u0000 line \n end']


def test_toxicity_is_the_largest_attribute_and_the_others_follow(score):
    table = score(TEXTS, ["TOXICITY", "INSULT", "SEVERE_TOXICITY"])
    names = ["toxicity", "toxicity_attribute", "insult", "severe_toxicity"]
    assert list(table.columns) == names
    assert {str(dtype) for dtype in table.dtypes} == {"float64"}
    by_attribute = [expected(TEXTS, name) for name in ("TOXICITY", "INSULT", "SEVERE_TOXICITY")]
    assert table["toxicity"].tolist() == [max(row) for row in zip(*by_attribute, strict=True)]
    assert [table[name].tolist() for name in names[1:]] == by_attribute


def test_a_request_is_what_the_service_documents(score, service):
    score(["a fool"])
    (request,) = service.requests
    assert request.key == KEY
    assert request.body == {
        "comment": {"text": "a fool"},
        "languages": ["en"],
        "requestedAttributes": {"TOXICITY": {}, "INSULT": {}},
        "doNotStore": True,
    }


def test_rows_are_in_order_and_equal_texts_are_asked_once(score, service):
    texts = ["b", "a", "b", "c", "a", "b"]
    assert score(texts)["insult"].tolist() == expected(texts, "INSULT")
    assert service.texts == ["b", "a", "c"]


def test_an_attribute_named_twice_is_asked_once(score, service):
    assert list(score(["a"], ["INSULT", "INSULT"]).columns) == ["toxicity", "insult"]
    assert list(service.requests[0].body["requestedAttributes"]) == ["INSULT"]


def test_what_is_stored_is_not_asked_again(score, service):
    score(["a", "b"], ["TOXICITY", "INSULT", "THREAT"])
    table = score(["b", "c", "a"], ["THREAT", "TOXICITY"])
    assert service.texts == ["a", "b", "c"]
    assert table["threat"].tolist() == expected(["b", "c", "a"], "THREAT")
    assert list(table.columns) == ["toxicity", "threat", "toxicity_attribute"]


def test_only_the_attributes_that_are_not_stored_are_asked(score, service):
    score(["a"], ["INSULT"])
    score(["a"], ["INSULT", "THREAT"])
    assert list(service.requests[1].body["requestedAttributes"]) == ["THREAT"]


def test_another_language_and_another_service_are_other_scores(score, sentence, service):
    score(["a"])
    score(["a"], language="de")
    score(["a"], language=None)
    assert [request.body.get("languages") for request in service.requests] == [["en"], ["de"], None]
    assert "HTTP 404" in sentence(["a"], path="/other")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("https://A.example", "https://a.example/", True),
     ("https://a.example", "http://a.example", True),
     ("https://a.example:443", "https://a.example", True),
     ("https://a.example", "https://b.example", False),
     ("https://a.example/x", "https://a.example/y", False),
     ("https://a.example:8443", "https://a.example", False)],
)  # fmt: skip
def test_a_service_is_known_by_its_host_and_path(one, other, same):
    names = [Service(endpoint, "en", 1).name for endpoint in (one, other)]
    assert (names[0] == names[1]) is same


@pytest.mark.parametrize(
    "endpoint",
    ["", "a.example", "ftp://a.example", "https://", "https://a.example:port", "http://[::1",
     "https://a.example:99999", "https://a b.example", "https://a.example/\n",
     "https://secret@a.example", "https://u:secret@a.example", "https://a.example?key=secret"],
)  # fmt: skip
def test_an_endpoint_that_is_no_address_is_a_sentence_without_secrets(endpoint):
    with pytest.raises(InputError, match=r"scorer\.endpoint: ") as caught:
        Service(endpoint, "en", 1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_that_is_none_is_a_sentence(rate):
    with pytest.raises(InputError, match=r"scorer\.queries_per_second"):
        Service("https://a.example", "en", rate)


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000\u00a0"])
def test_a_blank_text_scores_0_is_counted_and_not_sent(score, service, caplog, blank):
    caplog.set_level(logging.INFO)
    table = score([blank, "a", blank])
    assert service.texts == ["a"]
    assert table.loc[0].tolist() == table.loc[2].tolist() == [0, 0, 0]
    assert table["insult"][1] == score_of("a", "INSULT")
    assert "3 texts: 2 are blank and score 0; 0 are cut" in caplog.text


def test_blank_texts_alone_need_no_key(score, service):
    assert score(["", " "], key=None)["toxicity"].tolist() == [0, 0]
    assert service.requests == []


def test_no_texts_are_an_empty_table(score):
    table = score([], key=None)
    assert (list(table.columns), len(table)) == (["toxicity", "toxicity_attribute", "insult"], 0)


def test_a_text_that_the_service_takes_for_empty_scores_0_for_good(score, service, caplog):
    caplog.set_level(logging.INFO)
    service.script.append(says(refusal(400, "Empty.", errorType="COMMENT_EMPTY")[1], 400))
    for _ in range(2):
        assert score(["\u200b"])["toxicity"].tolist() == [0]
    assert len(service.requests) == 1
    assert "the service took 1 for empty, which score 0; 0 are cut further" in caplog.text


@given(st.text(max_size=40), st.integers(0, 60))
def test_a_cut_is_the_longest_beginning_that_fits(text, longest):
    fitting = [text[:end] for end in range(len(text) + 1) if len(text[:end].encode()) <= longest]
    assert cut_to_bytes(text, longest) == fitting[-1]


@pytest.mark.parametrize(
    ("text", "sent"),
    [("x" * 20_000, "x" * 20_000), ("x" * 20_001, "x" * 20_000), ("é" * 15_000, "é" * 10_000),
     ("x" + "🦆" * 9_000, "x" + "🦆" * 4_999)],
)  # fmt: skip
def test_a_text_too_long_is_cut_between_characters_and_counted(score, service, caplog, text, sent):
    caplog.set_level(logging.INFO)
    assert score([text])["insult"].tolist() == [score_of(sent, "INSULT")]
    assert service.texts == [sent]
    assert f"0 are blank and score 0; {int(text != sent)} are cut" in caplog.text
    score([text], key=None)


def test_a_service_that_reads_less_gets_halves_until_it_is_content(score, service, caplog):
    caplog.set_level(logging.INFO)
    service.longest_bytes = 30
    text = "ü" * 100
    for _ in range(2):
        assert score([text, "a"])["insult"].tolist() == expected(["ü" * 12, "a"], "INSULT")
    assert [len(sent) for sent in service.texts] == [100, 50, 25, 12, 1]
    assert "the service took 0 for empty, which score 0; 1 are cut further" in caplog.text


def test_a_service_that_reads_nothing_at_all_is_a_sentence(sentence, service):
    service.longest_bytes = 0
    assert "refuses even a single character (COMMENT_TOO_LONG)" in sentence(["ab"])
    assert service.texts == ["ab", "a"]


@pytest.mark.parametrize("text", ["?? what", "de: du"])
def test_a_language_error_is_retried_with_the_language_named(score, service, text):
    attributes = ["INSULT", "SEXUALLY_EXPLICIT"]
    assert score([text], attributes, language=None)["insult"].tolist() == [score_of(text, "INSULT")]
    assert [request.body.get("languages") for request in service.requests] == [None, ["en"]]


def test_a_language_that_an_attribute_does_not_know_is_a_sentence(sentence, service):
    said = sentence(["a", "b"], ["INSULT", "SEXUALLY_EXPLICIT"], language="de")
    assert "in language 'de' (LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE)" in said
    assert "set scorer.language and scorer.attributes" in said
    assert len(service.requests) == 1


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


def reply_to(asked):
    return json.dumps(content(asked.text, asked.body["requestedAttributes"])).encode()


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
    ("key", "status"), [("wrong", 400), ("sesame", 400)], ids=["wrong", "beginning of the right"]
)
def test_a_wrong_key_ends_it_at_once(sentence, service, slept, key, status):
    said = sentence(["a"], key=key)
    assert f"the service refuses the key (HTTP {status}: API key not valid: ….)" in said
    assert "set PERSPECTIVE_API_KEY to a key that it accepts" in said
    assert "0 of 1 texts are scored" in said
    assert len(service.requests) == 1
    assert waits(slept) == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", refusal(403, f"Not with\n{KEY}!")[1]])
def test_a_key_that_may_not_ends_it_at_once(sentence, service, status, body):
    service.script.append(says(body, status))
    assert f"refuses the key (HTTP {status}" in sentence(["a"])
    assert len(service.requests) == 1


def test_no_key_is_a_sentence_that_says_what_is_missing(score, sentence, service, store):
    score(["a"])
    for key in (None, ""):
        said = sentence(["a", "b", "c", "b"], key=key)
        assert (
            f"PERSPECTIVE_API_KEY is not set, but 2 of 3 texts are not yet in {store.path}" in said
        )
    assert len(service.requests) == 1


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
    assert "check scorer.endpoint" in said
    assert len(said) < 700
    assert len(service.requests) == 1


def test_the_key_is_in_no_log_and_no_exception(score, service, caplog, capfd):
    for name in ("", "urllib3", "urllib3.connectionpool", "urllib3.util.retry", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    secret = "AIzaSyNotARealKey"
    service.always = resets
    for attempt in (resets, fails(500), sleeps(0.3), says(refusal(403, secret)[1], 403)):
        service.always = attempt
        with pytest.raises(InputError) as caught:
            score(["a"], key=secret, tries=2, reply_seconds=0.1)
        error = caught.value
        while error is not None:
            assert secret not in repr(error)
            error = None if error.__suppress_context__ else (error.__cause__ or error.__context__)
    assert "try 2 of 2" in caplog.text
    assert secret not in caplog.text
    out, err = capfd.readouterr()
    assert secret not in out + err
    assert {request.key for request in service.requests} == {secret}


def test_the_loggers_of_addresses_work_again_afterwards(score):
    score(["a"])
    assert not logging.getLogger("urllib3.connectionpool").disabled


@pytest.mark.parametrize(("texts", "failures"), [(10, 0), (1, 9)], ids=["texts", "retries"])
def test_the_rate_is_not_exceeded_and_retries_count(service, store, texts, failures):
    service.script.extend([fails(500)] * failures)
    asked = Service(service.url, "en", 20)
    wanted = [str(number) for number in range(texts)]
    score_by_perspective(wanted, TWO, asked, store, KEY, Patience(first_seconds=1e-6))
    times = [request.time for request in service.requests]
    assert len(times) == 10
    assert times[-1] - times[0] >= 9 / 20 - 0.2


def test_a_redirection_is_not_followed_with_the_key(sentence, service):
    with standing_in() as elsewhere:
        moved = {"Location": f"{elsewhere.url}/v1alpha1/comments:analyze"}
        service.script.append(lambda handler, request: handler.reply(307, b"", moved))
        assert "refuses the request (HTTP 307)" in sentence(["a"])
        assert elsewhere.requests == []


def test_texts_that_another_job_scored_meanwhile_are_not_asked_and_take_no_turn(
    service, tmp_path, slept
):
    path = tmp_path / "scores.sqlite"
    asked = Service(service.url, "en", 1)
    patience = Patience(sleep=slept.append)

    def other_job(handler, request):
        with open_store(path) as theirs:
            for text in "bcd":
                theirs.keep(asked.name, "en", text, {name: score_of(text, name) for name in TWO})
        handler.reply(200, reply_to(request))

    service.script.append(other_job)
    with open_store(path) as ours:
        table = score_by_perspective(list("abcde"), TWO, asked, ours, KEY, patience)
    assert table["insult"].tolist() == expected("abcde", "INSULT")
    assert service.texts == ["a", "e"]
    assert len(slept) == 2
