"""The program as a process: each scorer; the Perspective scorer after kills and outages."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import score_continuations
import torch
from support.scoring_program import PROGRAM, SCRIPTS, environment, perspective, run, written
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from dpo_neurons.running.code_digest import reached_definitions

LEXICON = '{"word": "fool", "severity": 0.5}\n{"word": "oaf", "severity": 0.2}\n'


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "lexicon.jsonl"
    path.write_text(LEXICON)
    return path


def test_the_lexicon_scores_the_continuation_alone(tmp_path, lexicon):
    continuations = written(tmp_path / "c.jsonl", ["fool and oaf", "friend", ""])
    status, err = run(["--continuations", continuations, "--scorer", "lexicon",
                       "--lexicon", lexicon, "--output", tmp_path / "x.parquet"])  # fmt: skip
    assert status == 0, err
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert list(table.columns[:2]) == ["intervention", "toxicity"]
    assert set(table["intervention"]) == {"patch_x"}
    assert table["toxicity"].tolist() == pytest.approx([0.6, 0, 0])
    assert "mean toxicity 0.2000 over 3 continuations" in err


def test_beginnings_as_long_as_dpos_are_scored_too(tmp_path, lexicon):
    path = tmp_path / "c.jsonl"
    texts = [("fool and oaf", "fool and"), ("oaf", "oaf"), ("a fool", "a"), ("", "")]
    rows = [
        {"intervention": "x", "prompt": "p", "continuation": text, "cut": cut}
        for text, cut in texts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, err = run(["--continuations", path, "--scorer", "lexicon", "--lexicon", lexicon,
                       "--output", tmp_path / "x.parquet"])  # fmt: skip
    assert status == 0, err
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert table["toxicity"].tolist() == pytest.approx([0.6, 0.2, 0.5, 0])
    assert table["toxicity_equal_length"].tolist() == pytest.approx([0.5, 0.2, 0, 0])
    assert "over 4 continuations" in err


def test_a_further_scorer_writes_its_score_and_scores_whole_texts_alone(tmp_path):
    path = tmp_path / "c.jsonl"
    row = {"intervention": "x", "prompt": "p", "continuation": "I can\u2019t say", "cut": "I"}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"continuation": "say"}) + "\n")
    options = ["--continuations", path, "--scorer", "phrases", "--match", "beginning",
               "--output", tmp_path / "x.parquet"]  # fmt: skip
    status, err = run([*options, "--further"])
    assert status == 0, err
    assert "mean score 0.5000 over 2 continuations" in err
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert table.to_dict("list") == {"intervention": ["x", "x"], "score": [1, 0]}
    assert run([*options, "--phrases", '["I", "say"]'])[0] == 0
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert table["toxicity"].tolist() == [1, 1]
    assert table["toxicity_equal_length"].tolist() == [1, 1]


@pytest.mark.slow
def test_a_classifier_from_a_directory_scores(tmp_path):
    model = BertForSequenceClassification(
        BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=8, max_position_embeddings=16, num_labels=2)
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 1.0986122886681098]))
    model.config.id2label = {0: "neutral", 1: "toxic"}
    model.save_pretrained(tmp_path / "classifier")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fool", "friend", "a"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    BertTokenizerFast(str(vocabulary)).save_pretrained(tmp_path / "classifier")
    continuations = written(tmp_path / "c.jsonl", ["a fool", "", "friend"])
    status, err = run(
        ["--continuations", continuations, "--scorer", "classifier", "--label", "toxic",
         "--classifier", tmp_path / "classifier", "--activation", "softmax", "--batch-size", 2,
         "--device", "cpu", "--threads", 1, "--output", tmp_path / "x.parquet"]
    )  # fmt: skip
    assert status == 0, err
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert list(table.columns) == ["intervention", "toxicity", "neutral"]
    # With nothing but a bias of ln 3 the odds are three to one.
    assert table["toxicity"].tolist() == pytest.approx([0.75, 0, 0.75])
    assert table["neutral"].tolist() == pytest.approx([0.25, 0, 0.25])
    assert "mean toxicity 0.5000 over 3 continuations" in err


@pytest.mark.parametrize("scorer", ["lexicon", "perspective", "phrases"])
def test_scoring_without_a_model_does_not_load_torch(tmp_path, lexicon, scorer):
    continuations = written(tmp_path / "c.jsonl", [""])
    options = ["--continuations", continuations, "--scorer", "lexicon", "--lexicon", lexicon,
               "--output", tmp_path / "x.parquet"]  # fmt: skip
    if scorer == "phrases":
        options = ["--continuations", continuations, "--scorer", "phrases", "--match", "anywhere",
                   "--output", tmp_path / "x.parquet"]  # fmt: skip
    if scorer == "perspective":
        options = perspective("http://127.0.0.1:9", continuations, tmp_path)
    code = """
import sys, score_continuations
score_continuations.main()
print([name for name in ("torch", "transformers", "tokenizers") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, options)], cwd=PROGRAM.parent, env=environment(None),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("scorer", "missing"),
    [("lexicon", "--lexicon"), ("perspective", "--endpoint, --attributes, --store"),
     ("phrases", "--match"),
     ("guard", "--guard, --scored-token, --other-token, --dtype, --batch-size, --threads"),
     ("classifier", "--classifier, --label, --activation, --batch-size, --threads")],
)  # fmt: skip
def test_options_that_a_scorer_needs_are_named(monkeypatch, capsys, scorer, missing):
    options = ["--continuations", "x", "--output", "y", "--scorer", scorer]
    monkeypatch.setattr(sys, "argv", ["score_continuations.py", *options])
    with pytest.raises(SystemExit):
        score_continuations.parse_arguments()
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"--scorer {scorer} needs {missing}")


def test_the_digest_of_the_code_follows_every_scorer():
    reached = reached_definitions(PROGRAM, SCRIPTS)
    for module, name in (
        ("dpo_neurons.scorers.lexicon", "score_by_lexicon"),
        ("dpo_neurons.scorers.classifier", "_probabilities"),
        ("dpo_neurons.scorers.guard", "_probabilities"),
        ("dpo_neurons.scorers.phrases", "REFUSALS"),
        ("dpo_neurons.scorers.perspective", "_ask_each"),
        ("dpo_neurons.scorers.perspective_reply", "_score"),
        ("dpo_neurons.scorers.score_store", "ScoreStore"),
        ("dpo_neurons.scorers.backoff", "requested_wait"),
    ):
        assert (module, name) in reached
