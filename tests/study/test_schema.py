"""The schema: it fills in the defaults that it documents, and explains every mistake."""

import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.study.schema import SCHEMA, check_schema, nearest

DOCUMENTED = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MINIMAL = {
    "study": "mine",
    "models": {
        "a": {"pre": {"kind": "directory", "path": "b"}, "post": {"kind": "directory", "path": "c"}}
    },
}


def filled(**changes):
    config = {**copy.deepcopy(MINIMAL), **changes}
    check_schema(config, "my.yaml")
    return config


def post(**entry):
    return {"a": {**MINIMAL["models"]["a"], "post": entry}}


def holds(config, documented):
    """Whether a value is a documented one, with more keys filled in at most."""
    if isinstance(documented, dict) and isinstance(config, dict):
        return all(name in config and holds(config[name], documented[name]) for name in documented)
    return config == documented


def test_what_is_left_out_is_what_the_schema_documents():
    config = filled()
    assert set(config) == set(DOCUMENTED["properties"])
    seen = 0
    for section, schema in DOCUMENTED["properties"].items():
        if "default" in schema:
            assert holds(config[section], schema["default"])
            seen += 1
        for key, one in schema.get("properties", {}).items():
            if "default" in one:
                assert holds(config[section][key], one["default"])
                seen += 1
            else:
                assert key not in config[section]
    assert seen > 25
    assert config["figures"]["2b_rank_composition"] == {"top": 10000, "bins": 20}
    defaults = {"dtype": "float32", "attention": "default", "gpus": 1}
    assert holds(config["models"]["a"], defaults)


def test_a_filled_configuration_is_complete_and_stays_as_it_is():
    once = filled()
    twice = copy.deepcopy(once)
    check_schema(twice, "my.yaml")
    assert twice == once


def test_no_two_studies_share_what_was_filled_in():
    first, second = filled(), filled()
    first["data"]["challenge_prompts"]["where"]["challenging"] = False
    first["interventions"].clear()
    first["directions"]["probe"]["validation_share"] = 0.5
    assert second == filled()


def test_what_is_given_is_never_replaced():
    given_ones = {"interventions": {"ablate_x": {"kind": "ablate", "top": 3}}, "seed": 9}
    config = filled(**given_ones, generation={"tokens": 3})
    assert config["interventions"] == {"ablate_x": {"kind": "ablate", "top": 3, "positions": "all"}}
    assert config["generation"] == {"tokens": 3, "positions": "last"}
    assert config["seed"] == 9


def test_defaults_of_one_kind_are_not_given_to_another():
    lexicon = filled(scorer={"kind": "lexicon"})["scorer"]
    assert lexicon == {"kind": "lexicon"}
    classifier = {"kind": "classifier", "path": "x", "label": "y", "activation": "sigmoid"}
    assert filled(scorer=dict(classifier))["scorer"] == classifier
    perspective = filled(scorer={"kind": "perspective"})["scorer"]
    assert set(perspective) == {
        "kind",
        "attributes",
        "endpoint",
        "queries_per_second",
        "store",
        "request_path",
    }
    tuning = {"learning_rate": 1e-5, "warmup_steps": 0, "steps": 1, "batch_size": 1}
    sft = filled(models=post(kind="sft", **tuning))["models"]["a"]["post"]
    assert sft == {"kind": "sft", "max_grad_norm": 1, **tuning}
    dpo = filled(models=post(kind="dpo", beta=0.1, **tuning))["models"]["a"]["post"]
    own = {"loss": "sigmoid", "beta": 0.1, "kl_weight": 0, "held_out": 0}
    assert dpo == {"kind": "dpo", "max_grad_norm": 1, **own, **tuning}


def test_one_entry_that_two_models_share_by_an_anchor_is_filled_once():
    shared = {"kind": "dpo", "beta": 0.1, "learning_rate": 1e-5, "warmup_steps": 0, "steps": 1,
              "batch_size": 1}  # fmt: skip
    pre = {"kind": "directory", "path": "b"}
    models = {name: {"pre": pre, "post": shared} for name in ("a", "b")}
    config = filled(models=models)
    assert config["models"]["a"]["post"]["kl_weight"] == 0


HUB = {"kind": "hub", "repository": "a/b"}
MISTAKES = [
    ({"models": post(**HUB, revision="main")},
     "models.a.post.revision: 'main' is not a full commit hash of 40 hexadecimal digits; a branch "
     "or a tag can move, so look the commit up"),
    ({"models": post(**HUB, revision=COMMIT[:12])}, "revision: '0123456789ab' is not"),
    ({"models": post(**HUB, revision=COMMIT + "\n")}, "models.a.post.revision: "),
    ({"models": post(**HUB, revision=COMMIT.upper())}, "models.a.post.revision: "),
    ({"models": post(**HUB, revision=1234567)},
     "models.a.post.revision: 1234567 is of type int, but must be text; put it in quotes"),
    ({"models": post(**HUB)}, "models.a.post: the key 'revision' is missing; add it"),
    ({"models": post(kind="hub", repository="https://x.org/a/b", revision=COMMIT)},
     "is not the id of a hub repository, such as openai-community/gpt2-medium"),
    ({"models": post(kind="directory", repository="a/b", revision=COMMIT)},
     "unknown key 'repository' (known: kind, path)"),
    ({"models": post(path="c")}, "models.a.post: the key 'kind' is missing; add it"),
    ({"models": post(kind="adaptor", path="c")}, "did you mean 'adapter'?"),
    ({"models": post(kind="train_from_scratch")}, "is not one of dpo, kto, orpo, simpo, sft"),
    ({"models": post(kind="adapter")}, "models.a.post: needs path or repository; add one of them"),
    ({"models": post(kind="adapter", path="c", repository="a/b", revision=COMMIT)},
     "models.a.post: path and repository are both given; leave one of them out"),
    ({"models": post(kind="adapter", path="c", revision=COMMIT)},
     "models.a.post: revision goes with repository, which is missing; add it"),
    ({"models": post(kind="adapter", repository="a/b")},
     "models.a.post: repository goes with revision, which is missing; add it"),
    ({"scorer": {"kind": "classifier", "path": "x", "repository": "a/b", "revision": COMMIT}},
     "scorer: path and repository are both given; leave one of them out"),
    ({"scorer": {"kind": "classifier", "label": "x"}}, "scorer: needs path or repository; add one"),
    ({"scorer": {"kind": "classifier", "repository": "a/b"}}, "scorer: repository goes with revis"),
    ({"scorer": {"kind": "perspective", "attributes": ["toxicity"]}},
     "scorer.attributes.0: 'toxicity' is not an attribute of Perspective, in capitals"),
    ({"scorer": {"kind": "perspective", "attributes": []}},
     "scorer.attributes: is empty; give at least one"),
    ({"scorer": {"kind": "perspective", "endpoint": ["https://me:s3cr3t@host.org"]}},
     "scorer.endpoint: must be text; it is not shown, as it may hold a secret"),
    ({"scorer": {"kind": "perspective", "language": "en gb"}}, "'en gb' is not a language tag"),
    ({"scorer": {"kind": "classifier", "path": "x", "label": "a\0b"}},
     "scorer.label: holds a NUL character or half a character; remove it"),
    ({"scorer": {"kind": "classifier", "path": "x", "label": "a" * 20_001}},
     "scorer.label: a text of 20001 characters; give one of at most 20000"),
    ({"scorer": {"kind": "classifier", "path": "x", "label": "\ud800"}}, "half a character"),
    ({"study": "x" * 101}, "has 101 characters; give a name of at most 100"),
    ({"models": {"a\n": MINIMAL["models"]["a"]}}, "'a\\n' is not a name"),
    ({"seed": 10**30}, "seed: a number of more than 64 bits; give a smaller"),
    ({"seed": 2**32}, "seed: 4294967296 is greater than the maximum of 4294967295; give a smaller"),
    ({"seed": "x" * 5000}, "x… is of type str"),
    ({"token_probabilities": {"words": "grim"}},
     "words: 'grim' is of type str, but must be list; write it in brackets"),
    ({"generation": {"tokens": 10**9}}, "generation.tokens: 1000000000 is greater than the max"),
    ({"directions": {}}, "directions: is empty; give at least one"),
    ({"directions": {"e": {"kind": "embedding", "neutral_words": ["a"]}}},
     "directions.e: needs words or words_file; add one of them"),
    ({"directions": {"e": {"kind": "embedding", "words": ["a"], "words_file": "a.txt",
                           "neutral_words": ["b"]}}}, "directions.e: "),
    ({"directions": {"e": {"kind": "embedding", "words": ["a", "a"], "neutral_words": ["b"]}}},
     "directions.e.words: names something twice"),
    ({"directions": {"e": {"kind": "embedding", "words": ["-x"], "neutral_words": ["b"]}}},
     "directions.e.words.0: '-x' is not a text that begins with another sign than '-'"),
    ({"directions": {"e": {"kind": "embedding", "words": [True], "neutral_words": ["b"]}}},
     "directions.e.words.0: True is of type bool, but must be text; put it in quotes"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "-x"}}},
     "data.challenge_prompts.path: '-x' is not a path; write ./ before one that begins with '-'"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": ""}}}, "path: '' is not a path"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "x", "columns": {"promt": "a"}}}},
     "data.challenge_prompts.columns: 'promt' is not one of prompt, text; did you mean 'prompt'?"),
    ({"data": {"labelled_comments": {"kind": "file", "path": "x", "columns": {"a=b": "a"}}}},
     "data.labelled_comments.columns: 'a=b' is not a name without '='"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "x", "where": {"a=b": 1}}}},
     "data.challenge_prompts.where: 'a=b' is not the name of a column without '='"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "x", "where": {"-a": 1}}}},
     "data.challenge_prompts.where: '-a' is not the name of a column"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "x", "where": {"a": None}}}},
     "where.a: None is of type NoneType, but must be text or number or true or false"),
    ({"data": {"challenge_prompts": {"kind": "file", "path": "x", "where": {False: 1}}}},
     "data.challenge_prompts.where: the key False is no text; put it in quotes"),
    ({3: 4}, "the key 3 is no text; put it in quotes"),
    ({"data": None}, "data: None is of type NoneType, but must be mapping"),
    ({"seed": 3.0}, "seed: 3.0 is of type float, but must be integer"),
    ({"study": 3}, "study: 3 is of type int, but must be text; put it in quotes"),
    ({"study": "a\n"}, "study: 'a\\n' is not a name"),
    ({"models": post(kind="dpo", beta="1e-1", learning_rate=1, warmup_steps=0, steps=1,
                     batch_size=1)},
     "post.beta: '1e-1' is of type str, but must be number; write it without quotes and with a "
     "point, as in 1.0e-5"),
    ({"models": post(kind="dpo", beta=float("nan"), learning_rate=1, warmup_steps=0, steps=1,
                     batch_size=1)},
     "models.a.post.beta: nan is not a finite number; give one"),
    ({"models": post(kind="dpo", beta=0.1, learning_rte=1, warmup_steps=0, steps=1,
                     batch_size=1)},
     "models.a.post: unknown key 'learning_rte'"),
    ({"interventions": {"ablate_x": {"kind": "ablate", "top": 3, "activation": "negative"}}},
     "interventions.ablate_x.activation: 'negative' is not 'positive', all it can be"),
    ({"interventions": {"patch_x": {"kind": "patch", "groups": ["AN-", "TQ-"]}}},
     "interventions.patch_x.groups.1: 'TQ-' is not one of TP-, TN+, AP+, AN-, TP+, TN-, AP-, AN+; "
     "did you mean 'TP-'?"),
    ({"interventions": {"patch_x": {"kind": "patch", "every_combination_of": ["toxic"]}}},
     "interventions.patch_x.every_combination_of.0: 'toxic' is not one of TP-, TN+,"),
    ({"interventions": {"strip_x": {"kind": "strip", "groups": [3]}}},
     "interventions.strip_x.groups.0: 3 is not one of TP-, TN+,"),
    ({"interventions": {"patch": {"kind": "patch", "groups": [["TP-"], ["TQ-"]]}}},
     "interventions.patch.groups.1.0: 'TQ-' is not one of TP-, TN+,"),
    ({"interventions": {"scale_keys_x": {"kind": "scale_keys", "top": 3, "factor": float("inf")}}},
     "interventions.scale_keys_x.factor: inf is not a finite number"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), MISTAKES, ids=lambda part: str(part)[-40:])
def test_a_mistake_is_one_sentence(changes, words):
    config = {**copy.deepcopy(MINIMAL), **changes}
    with pytest.raises(InputError) as caught:
        check_schema(config, "my.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my.yaml: ")
    assert "\n" not in sentence
    assert words in sentence


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(DOCUMENTED["properties"])), VALUES)
def test_whatever_yaml_can_hold_is_accepted_or_refused_in_words(key, value):
    config = {**copy.deepcopy(MINIMAL), key: value}
    sentence = f"my.yaml: {key}"
    try:
        check_schema(config, "my.yaml")
    except InputError as error:
        sentence = str(error)
    assert sentence.startswith("my.yaml: ")
    assert key in sentence
    assert "\n" not in sentence


def test_the_nearest_name_is_hinted_at_only_if_one_is_near():
    assert nearest("fiel", ["file", "hub"]) == "; did you mean 'file'?"
    assert nearest("zzz", ["file", "hub"]) == ""


@pytest.mark.parametrize("value", [{0: None}, float("inf")])
def test_a_key_with_a_line_break_is_quoted(value):
    with pytest.raises(InputError, match=r"^my\.yaml: activations\.'a\\nb'") as caught:
        filled(activations={"a\nb": value})
    assert "\n" not in str(caught.value)


def test_a_value_that_contains_itself_is_named():
    loop = {"kind": "directory"}
    loop["path"] = loop
    with pytest.raises(InputError, match=r"^my\.yaml: models\.a\.pre: nested more than 20 deep"):
        filled(models={"a": {"pre": loop, "post": {"kind": "directory", "path": "c"}}})


SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    "changes",
    [
        {"scorer": {"kind": "perspective", "endpoint": 7, "attributes": "x"}},
        {"scorer": {"kind": "perspective", "endpoint": {SECRET: SECRET}}},
        {"scorer": {"kind": "perspective", "endpoint": [f"https://a:{SECRET}@h"]}},
    ],
)
def test_an_endpoint_is_never_quoted(changes):
    with pytest.raises(InputError) as caught:
        filled(**changes)
    assert SECRET not in str(caught.value)
