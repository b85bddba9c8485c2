"""The Perspective scorer: its requests to a stand-in, their rate, and scores from replies."""

import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.perspective_stand_in import (
    KEY,
    expected,
    refusal,
    says,
    score_of,
)

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.perspective import cut_to_bytes
from dpo_neurons.scorers.perspective_service import Service

pytest_plugins = ["support.perspective_scoring"]

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
    assert "HTTP 404" in sentence(["a"], below="/other")


@pytest.mark.parametrize(
    ("header", "sent"),
    [("X-Api-Key", {"X-Api-Key": KEY}),
     ("Authorization: Bearer", {"Authorization": f"Bearer {KEY}"})],
)  # fmt: skip
def test_a_service_may_take_its_key_in_a_header_under_another_path(
    score, service, sentence, header, sent
):
    service.path = "/v2/analyze"
    ((service.header, _),) = sent.items()
    asked = {"path": "/v2/analyze", "header": header}
    assert score(["a"], **asked)["insult"].tolist() == expected(["a"], "INSULT")
    (request,) = service.requests
    assert (request.key, request.in_header) == (None, sent[service.header])
    # What Perspective itself says of the same text at this address would be another score.
    assert "HTTP 404" in sentence(["a"])
    assert "no header can hold" in sentence(["b"], key="kéy", **asked)


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
    assert "set the scorer's language and attributes" in said
    assert len(service.requests) == 1
