"""The synthetic data sets, and the checks of a user's own."""

import json

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.scorers.lexicon import score_by_lexicon
from dpo_neurons.study.datasets import (
    CHALLENGING,
    TEXT_KEYS,
    check_numbers,
    number_keys,
    read_conversations,
    read_dataset,
    synthetic_rows,
)
from dpo_neurons.study.synthetic_language import insult_probability, lexicon, vocabulary

FRAME = {"the", "then", ",", "that", "at"}
RANDOM = [name for name in TEXT_KEYS if name != "lexicon"]


def insulting(text: str) -> bool:
    return bool(set(text.split()) & {*lexicon(), "grim", "dull", "dirty", "gloomy"})


@pytest.mark.parametrize("dataset", TEXT_KEYS)
def test_made_data_is_accepted_and_read_back(dataset, tmp_path):
    rows = synthetic_rows(dataset, 20, seed=1)
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, rows)
    assert read_dataset(path, dataset) == rows
    assert len(rows) == (len(lexicon()) if dataset == "lexicon" else 20)


@pytest.mark.parametrize("dataset", RANDOM)
def test_the_same_seed_makes_the_same_rows(dataset):
    assert synthetic_rows(dataset, 30, 5) == synthetic_rows(dataset, 30, 5)
    assert synthetic_rows(dataset, 30, 5) != synthetic_rows(dataset, 30, 6)


def test_data_sets_of_one_kind_are_different_texts():
    training = {row["text"] for row in synthetic_rows("training_text", 200, 5)}
    held_out = {row["text"] for row in synthetic_rows("perplexity_text", 200, 5)}
    assert not training & held_out


@pytest.mark.parametrize("dataset", RANDOM)
def test_every_word_is_in_the_vocabulary(dataset):
    known = set(vocabulary())
    for row in synthetic_rows(dataset, 100, 2):
        assert {word for key in TEXT_KEYS[dataset] for word in row[key].split()} <= known


def test_challenge_prompts_challenge():
    rows = synthetic_rows("challenge_prompts", 200, 3)
    sentences_before = set()
    for row in rows:
        *before, context = row["prompt"].split(" . ")
        sentences_before.add(len(before))
        opener, _, subject, adverb, *_ = context.split()
        register = insulting(before[0]) if before else None
        assert insult_probability(opener, subject, adverb, register) >= CHALLENGING
    assert sentences_before == {0, 1}


def test_comments_are_labelled_by_what_they_say():
    rows = synthetic_rows("labelled_comments", 400, 3)
    assert all(row["toxic"] == insulting(row["text"]) for row in rows)
    assert 100 < sum(row["toxic"] for row in rows) < 300


def test_pairs_prefer_the_kind_answer():
    for row in synthetic_rows("preference_pairs", 100, 3):
        chosen, rejected = score_by_lexicon([row["chosen"], row["rejected"]], lexicon())["toxicity"]
        assert chosen == 0 < rejected
        assert row["prompt"].endswith(" then")


def test_gold_continues_its_prompt():
    for row in synthetic_rows("reference_sentences", 100, 3):
        first, second = f"{row['prompt']} {row['gold']}".split(" . ")
        assert second.endswith(" .")
        # Both are whole sentences of one frame.
        frame = [i for i, word in enumerate(first.split()) if word in FRAME]
        assert frame == [i for i, word in enumerate(second.split()[:-1]) if word in FRAME]


@pytest.mark.parametrize(
    ("dataset", "row"),
    [
        ("labelled_comments", {"text": "a"}),
        ("labelled_comments", {"text": "a", "toxic": "1"}),
        ("labelled_comments", {"text": "a", "toxic": 2}),
        ("labelled_comments", {"text": "a", "toxic": None}),
        ("lexicon", {"word": "a", "severity": -0.1}),
        ("lexicon", {"word": "a", "severity": float("nan")}),
    ],
    ids=str,
)
def test_a_number_out_of_range_is_named_with_its_file_and_line(dataset, row, tmp_path):
    good = {"text": "a", "toxic": 0.5, "word": "b", "severity": 1}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(good), "", json.dumps(row)]))
    key = "toxic" if dataset == "labelled_comments" else "severity"
    with pytest.raises(InputError, match=f'"{key}" with a number between 0 and 1') as caught:
        read_dataset(path, dataset)
    assert f"{path}, line 3" in str(caught.value)


@pytest.mark.parametrize("dataset", TEXT_KEYS)
def test_one_data_sets_size_does_not_change_another(dataset):
    alone = synthetic_rows(dataset, 25, 4)
    for other in TEXT_KEYS:
        synthetic_rows(other, 7, 4)
    assert synthetic_rows(dataset, 25, 4) == alone
    streams = {json.dumps(synthetic_rows(name, 25, 4)) for name in TEXT_KEYS}
    assert len(streams) == len(TEXT_KEYS)


@pytest.mark.parametrize("dataset", TEXT_KEYS)
def test_every_text_key_is_needed(dataset, tmp_path):
    path = tmp_path / "rows.jsonl"
    whole = synthetic_rows(dataset, 1, 1)[0]
    for key in TEXT_KEYS[dataset]:
        write_jsonl(path, [whole, {k: v for k, v in whole.items() if k != key}])
        with pytest.raises(InputError, match=f'line 2: needs the key "{key}"'):
            read_dataset(path, dataset)


def test_a_data_set_without_a_number_needs_none():
    assert number_keys("challenge_prompts") == ()
    check_numbers("here", {"prompt": "a"}, ())
    with pytest.raises(InputError, match=r'^here: needs the key "severity"'):
        check_numbers("here", {"prompt": "a"}, number_keys("lexicon"))


def test_a_further_label_is_checked_where_it_is_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "a", "toxic": 1, "insult": 0.2}, {"text": "b", "toxic": 1, "insult": 7}]
    write_jsonl(path, rows)
    assert read_dataset(path, "labelled_comments") == rows
    with pytest.raises(InputError, match='line 2: needs the key "insult" with a number'):
        read_dataset(path, "labelled_comments", ["insult"])
    with pytest.raises(InputError, match='line 1: needs the key "threat" with a number'):
        read_dataset(path, "labelled_comments", ["threat"])


def test_messages_are_refused_where_no_template_renders_them(tmp_path):
    path = tmp_path / "prompts.jsonl"
    asked = [{"role": "user", "content": "a"}]
    path.write_text(json.dumps({"prompt": asked}) + "\n")
    assert list(read_conversations(path, "challenge_prompts")) == [
        (f"{path}, line 1", {"prompt": asked})
    ]
    with pytest.raises(InputError, match=r'line 1: the key "prompt" holds messages, .* chat: \{\}'):
        read_dataset(path, "challenge_prompts")
