"""Checks of a study's configuration never show a secret that it holds."""

import pytest
from support.embedded_study import PROJECT, changed

from dpo_neurons.errors import InputError
from dpo_neurons.study.checks import check_study

SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    "endpoint",
    [
        f"https://me:{SECRET}@host.org", f"https://{SECRET}@host.org", f"ftp://me:{SECRET}@host.org",
        f"me:{SECRET}@host.org", f"https://host.org/?key={SECRET}", f"https://host.org/#{SECRET}",
        f"https:/{SECRET}", f"{SECRET}", f"https://host.org:{SECRET}", f"https://h .org/{SECRET}",
        f"https://me:a/{SECRET}@host.org", f"http://[::1/{SECRET}", f"https://h/{SECRET}\n", "",
        f"https://{{{SECRET}}}.org", "https://host.org:0", "https://host.org:99999", "http://",
    ],
)  # fmt: skip
def test_an_endpoint_is_judged_first_and_never_quoted(endpoint, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(scorer={"kind": "perspective", "endpoint": endpoint}), "my_study.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my_study.yaml: scorer.endpoint: ")
    assert SECRET not in sentence
    assert "host" not in sentence


@pytest.mark.parametrize(
    "endpoint", ["https://host.org", "http://127.0.0.1:8080/a/b/", "http://[::1]:80"]
)
def test_a_plain_endpoint_is_taken(endpoint, monkeypatch):
    monkeypatch.chdir(PROJECT)
    check_study(changed(scorer={"kind": "perspective", "endpoint": endpoint}), "my_study.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models__toy__post", {"kind": "directory", "path": f"https://me:{SECRET}@host.org/x"}),
        ("models__toy__post", {"kind": "hub", "repository": f"https://me:{SECRET}@hf.co/a/b",
                               "revision": "0" * 40}),
        ("study", "hf_" + SECRET.replace("-", "") * 3),
        ("scorer", {"kind": "perspective", f"https://me:{SECRET}@host.org": 1}),
    ],
)  # fmt: skip
def test_a_secret_elsewhere_is_masked(key, value, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(**{key: value, "seed": -1 if key == "study" else 1}), "my_study.yaml")
    assert SECRET not in str(caught.value)
