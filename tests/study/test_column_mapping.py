"""From users' columns to a data set's keys: what is taken, what is left out, what is refused."""

import csv
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refused_rows import refused

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.study.column_mapping import Selection, select_rows
from dpo_neurons.study.datasets import TEXT_KEYS, read_dataset, synthetic_rows


@pytest.mark.parametrize("dataset", TEXT_KEYS)
def test_the_projects_own_rows_come_through_unchanged(tmp_path, dataset):
    rows = synthetic_rows(dataset, 20, seed=1)
    mine, imported = tmp_path / "mine.jsonl", tmp_path / "imported.jsonl"
    write_jsonl(mine, rows)
    write_jsonl(imported, select_rows([mine], Selection(dataset))[0])
    assert imported.read_bytes() == mine.read_bytes()
    assert read_dataset(imported, dataset) == rows


def test_challenge_prompts_of_real_toxicity_prompts(select):
    def row(text, challenging):
        return {
            "filename": "x",
            "challenging": challenging,
            "prompt": {"text": text, "toxicity": 0.4},
            "continuation": {"text": "!", "toxicity": None},
        }

    rows = [row("a", False), row("b ", True), row("c", None), row("d", True), row("", True)]
    taken, left_out = select(
        rows, "challenge_prompts", columns={"prompt": "prompt.text"}, where={"challenging": "true"}
    )
    assert taken == [{"prompt": "b "}, {"prompt": "d"}]
    assert left_out == {"not challenging=true": 2, "blank prompt": 1}


def test_comments_of_jigsaw(tmp_path):
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "comment_text", "toxic", "threat"])
        writer.writerow(["0000997932d777bf", 'He said\n"no", twice\n', "0", "0"])
        writer.writerow(["2", "nan", "1", "0"])
        writer.writerow(["3", "  ", "1", "0"])
        writer.writerow(["4", "007", "0.25", "0"])
        writer.writerow(["5", "null", "True", "1"])
    selection = Selection("labelled_comments", columns={"text": "comment_text"})
    assert select_rows([path], selection) == (
        [
            {"text": 'He said\n"no", twice\n', "toxic": 0},
            {"text": "nan", "toxic": 1},
            {"text": "007", "toxic": 0.25},
            {"text": "null", "toxic": 1},
        ],
        {"blank text": 1},
    )
    columns = {"threat": "threat", "text": "comment_text", "menace": "threat"}
    rows, _ = select_rows([path], Selection("labelled_comments", columns))
    assert rows[-1] == {"text": "null", "toxic": 1, "threat": 1, "menace": 1}
    assert rows[0] == {"text": 'He said\n"no", twice\n', "toxic": 0, "threat": 0, "menace": 0}
    selection = Selection("labelled_comments", {"text": "comment_text"}, where={"threat": "1"})
    assert select_rows([path], selection)[0] == [{"text": "null", "toxic": 1}]


def test_text_of_wikitext(tmp_path):
    path = tmp_path / "test-0.parquet"
    lines = ["", " = Title = \n", "", " It was a day , and <unk> @-@ it rained . \n", None]
    pd.DataFrame({"text": lines}).to_parquet(path)
    rows, left_out = select_rows([path], Selection("perplexity_text"))
    assert rows == [{"text": lines[1]}, {"text": lines[3]}]
    assert left_out == {"blank text": 3}
    rows, left_out = select_rows([path], Selection("reference_sentences", prompt_words=4))
    assert rows == [{"prompt": " It was a day", "gold": " , and <unk> @-@ it rained . \n"}]
    assert left_out == {"blank text": 3, "fewer than 5 words": 1}


def test_pairs_of_the_reference(tmp_path):
    for number in range(3):
        pair = {
            "prompt_text": f"p{number}", "unpert_gen_text": " kind", "pert_gen_text": " rude",
            "unpert_gen_toks": [1, 2],
        }  # fmt: skip
        (tmp_path / f"split_{number}.jsonl").write_text(json.dumps(pair))
    columns = {"prompt": "prompt_text", "chosen": "unpert_gen_text", "rejected": "pert_gen_text"}
    paths = sorted(tmp_path.glob("*.jsonl"))
    rows, _ = select_rows(paths, Selection("preference_pairs", columns, rows=2))
    assert rows == [{"prompt": f"p{n}", "chosen": " kind", "rejected": " rude"} for n in (0, 1)]


words = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1)
spaces = st.text(st.sampled_from(" \t\n\u00a0\u2003"), min_size=1)


@given(st.lists(st.tuples(words, spaces), min_size=1, max_size=8), st.integers(1, 8), spaces)
def test_prompt_and_gold_make_up_the_text(tmp_path_factory, pairs, count, start):
    text = start + "".join(word + space for word, space in pairs)
    path = tmp_path_factory.mktemp("cut") / "mine.jsonl"
    write_jsonl(path, [{"t": text}, {"t": "w " * 20}])
    selection = Selection("reference_sentences", columns={"text": "t"}, prompt_words=count)
    rows, left_out = select_rows([path], selection)
    if len(pairs) > count:
        assert rows[0]["prompt"] + rows[0]["gold"] == text
        assert rows[0]["prompt"].split() == text.split()[:count]
        assert rows[0]["gold"].strip()
    else:
        assert left_out == {f"fewer than {count + 1} words": 1}


def test_a_long_text_is_cut_at_once(select):
    text = "a" * 300_000 + " " * 300_000
    taken, _ = select([{"text": text}, {"text": "a b"}], "reference_sentences", prompt_words=1)
    assert taken == [{"prompt": "a", "gold": " b"}]


@pytest.mark.parametrize(
    ("value", "cell", "equal"),
    [
        ("true", True, True),
        ("true", "True", True),
        ("true", "yes", False),
        ("false", None, False),
        ("null", None, True),
        ("1", 1.0, True),
        ("1", "1.0", True),
        ("en", "en", True),
        ("en", "EN", False),
        ("007", "7", False),
        ("007", "007", True),
        ("a=b", "a=b", True),
        # A text is compared as a text: no guessing what it may be as a number.
        ('"1"', "1", True),
        ('"1"', 1, False),
        ('"1.10"', "1.1", False),
        ('"1.10"', "1.10", True),
        ('"true"', "True", False),
        ('"null"', None, False),
        ("NA", "NA", True),
        ("[" * 50_000, "[" * 50_000, True),
    ],
)
def test_where_compares_numbers_by_value_and_texts_as_they_stand(select, value, cell, equal):
    rows = [{"prompt": "a", "c": cell}, {"prompt": "b", "c": "other"}]
    if equal:
        assert select(rows, "challenge_prompts", where={"c": value})[0] == [{"prompt": "a"}]
    else:
        message = refused(select, rows, "challenge_prompts", where={"c": value})
        assert "no row remains for challenge_prompts; left out were: not c=" in message
        assert "(2)" in message


def test_all_of_where_must_hold_before_rows_are_counted(select):
    rows = [
        {"prompt": str(n), "even": n % 2 == 0, "meta": {"third": n % 3 == 0}} for n in range(30)
    ]
    where = {"even": "true", "meta.third": "true"}
    taken, left_out = select(rows, "challenge_prompts", where=where, rows=3)
    assert [row["prompt"] for row in taken] == ["0", "6", "12"]
    assert left_out == {"not even=true": 6, "not meta.third=true": 4}


def test_a_row_left_out_by_where_need_not_be_right(select):
    rows = [{"prompt": 7, "use": 0}, {"prompt": "a", "use": 1}]
    assert select(rows, "challenge_prompts", where={"use": "1"})[0] == [{"prompt": "a"}]


@pytest.mark.parametrize(
    ("row", "columns", "parts"),
    [
        ({"comment_text": "a", "toxic": 1}, {},
         ["columns.text: no column 'text' among comment_text, toxic", "mean 'comment_text'?"]),
        ({"text": "a", "toxicity": 1}, {}, ["columns.toxic: no column", "mean 'toxicity'?"]),
        ({"prompt": {"text": "a", "n": 1}, "toxic": 1}, {"text": "prompt.txt"},
         ["'prompt.txt' among prompt.text, prompt.n, toxic", "mean 'prompt.text'?"]),
        ({"zz": "a"}, {}, ["'text' among zz; name one of them"]),
    ],
)  # fmt: skip
def test_a_wrong_column_lists_those_there_are(select, row, columns, parts):
    message = refused(select, [row], "labelled_comments", columns=columns)
    assert "mine.jsonl, line 1: " in message
    assert all(part in message for part in parts), message


def test_a_column_lacking_later_or_in_where_is_named(select):
    rows = [{"prompt": "a", "hard": 1}, {"prmpt": "b", "hard": 1}]
    message = refused(select, rows, "challenge_prompts")
    assert "line 2: data.challenge_prompts.columns.prompt: no column 'prompt' among" in message
    assert "among prmpt, hard; did you mean 'prmpt'?" in message
    message = refused(select, rows, "challenge_prompts", where={"hrad": "1"})
    assert "line 1: data.challenge_prompts.where: no column 'hrad' among prompt, hard" in message
    assert "did you mean 'hard'?" in message


@pytest.mark.parametrize("value", [7, 0.5, {"text": "a"}, True, "\ud800"])
def test_a_text_that_is_none_is_named_with_its_line(select, value):
    message = refused(select, [{"prompt": "a"}, {"prompt": value}], "challenge_prompts")
    assert 'mine.jsonl, line 2: needs the key "prompt" with a text value' in message


@pytest.mark.parametrize("value", [None, "", " \n", float("nan")])
def test_a_text_that_is_missing_is_left_out_and_counted(select, value):
    rows = [{"prompt": value}, {"prompt": "a"}, {"prompt": value}]
    assert select(rows, "challenge_prompts") == ([{"prompt": "a"}], {"blank prompt": 2})


def test_a_missing_object_is_a_missing_text(select):
    rows = [{"p": {"text": "a"}}, {"p": None}, {"p": {"text": None}}]
    settings = {"columns": {"prompt": "p.text"}}
    assert select(rows, "challenge_prompts", **settings) == ([{"prompt": "a"}], {"blank prompt": 2})


def test_a_column_with_a_dot_in_its_name_is_taken_first(select):
    rows = [{"p.text": "flat", "p": {"text": "deep"}}]
    columns = {"prompt": "p.text"}
    assert select(rows, "challenge_prompts", columns=columns)[0] == [{"prompt": "flat"}]


def test_a_file_of_blank_rows_is_told(select):
    message = refused(select, [{"text": ""}] * 3, "perplexity_text")
    assert "no row remains for perplexity_text; left out were: blank text (3)" in message


@pytest.mark.parametrize(
    ("dataset", "settings", "words"),
    [
        ("challenge_prompts", {"columns": {"text": "x"}}, "'text' is no key of challenge_prompts"),
        ("lexicon", {"columns": {"x": "x"}}, "which has word, severity"),
        ("reference_sentences", {"columns": {"text": "x"}}, "which has prompt, gold"),
        (
            "perplexity_text",
            {"prompt_words": 3},
            "is for challenge_prompts and reference_sentences",
        ),
        ("challenge_prompts", {"shared_words": 3}, "is for preference_pairs, not for challenge_p"),
        ("labelled_comments", {"severity": 1}, "is for lexicon, not for labelled_comments"),
        ("preference_pairs", {"shared_words": 0}, "shared_words: 0 leaves nothing"),
        ("reference_sentences", {"prompt_words": 0}, "give 1 or more"),
        ("reference_sentences", {"prompt_words": 3, "columns": {"gold": "x"}}, "which has text;"),
    ],
)
def test_settings_that_do_not_fit_are_told(dataset, settings, words):
    with pytest.raises(InputError) as caught:
        Selection(dataset, **settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([("Idiot", 1), ("idiot", 0.1)], "line 2: the word 'idiot' has severity 0.1, but 1 at"),
        ([("damn ", 1), ("x", 0), (" damn", 0.5)], "line 3: the word ' damn' has severity 0.5"),
        ([("x", 1), ("\u200b", 0.5)], "line 2: the word '\\u200b' has no visible character"),
    ],
)
def test_one_word_with_two_severities_is_named_with_both_lines(select, words, sentence):
    rows = [{"word": word, "severity": severity} for word, severity in words]
    assert sentence in refused(select, rows, "lexicon")


def test_a_word_given_twice_with_one_severity_is_kept_as_it_is(select):
    rows = [{"word": "Idiot ", "severity": 1}, {"word": "idiot", "severity": 1.0}]
    assert select(rows, "lexicon") == (rows, {})
