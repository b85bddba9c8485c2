"""The Perspective scorer's key: a wrong or missing one ends it, and none is ever shown."""

import logging

import pytest
from support.perspective_stand_in import (
    KEY,
    fails,
    refusal,
    resets,
    says,
    sleeps,
    standing_in,
    waits,
)

from dpo_neurons.errors import InputError

pytest_plugins = ["support.perspective_scoring"]


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


def test_a_redirection_is_not_followed_with_the_key(sentence, service):
    with standing_in() as elsewhere:
        moved = {"Location": f"{elsewhere.url}/v1alpha1/comments:analyze"}
        service.script.append(lambda handler, request: handler.reply(307, b"", moved))
        assert "refuses the request (HTTP 307)" in sentence(["a"])
        assert elsewhere.requests == []
