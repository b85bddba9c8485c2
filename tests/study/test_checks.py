"""Mistakes in a configuration are sentences that name file, key and remedy."""

import os

import pytest
from support.embedded_study import EMBEDDED, PROJECT, changed

from dpo_neurons.errors import InputError
from dpo_neurons.study.checks import check_study

FILE = {"kind": "file", "path": "Snakefile"}
SFT = {"kind": "sft", "learning_rate": 1e-5, "warmup_steps": 0, "steps": 1, "batch_size": 1}
DPO = EMBEDDED["models"]["toy"]["post"]
LLAMA = {**EMBEDDED["models"]["toy"]["pre"], "architecture": "llama"}
PROBE = {"kind": "probe", "validation_share": 0.1}
SVD = {"kind": "svd", "from": "probe", "neurons": 9, "components": 2}

# A changed key, its value, and what the sentence must say.
MISTAKES = [
    ("sead", 3, ["unknown key 'sead'", "did you mean 'seed'?"]),
    ("generation__token", 3, ["generation", "unknown key 'token'", "did you mean 'tokens'?"]),
    ("data__challenge", {}, ["data", "unknown key 'challenge'"]),
    ("data__lexicon", {"kind": "file", "path": "a", "pth": 1},
     ["data.lexicon", "'pth'", "did you mean 'path'?"]),
    ("models__toy__dtpye", "x", ["models.toy", "'dtpye'", "did you mean 'dtype'?"]),
    ("models__toy__pre__width", "128", ["models.toy.pre.width", "'128' is of type str", "integer"]),
    ("seed", 1.5, ["seed", "1.5 is of type float", "integer"]),
    ("seed", True, ["seed", "True is of type bool", "integer"]),
    ("seed", None, ["seed", "None"]),
    ("seed", -1, ["seed", "-1 is less than the minimum of 0; give a larger number"]),
    ("generation__tokens", 0, ["generation.tokens", "0 is less than the minimum of 1"]),
    ("bootstrap__level", 1, ["bootstrap.level: 1 is not below 1; give a smaller number"]),
    ("bootstrap__level", 0, ["bootstrap.level: 0 is not above 0; give a larger number"]),
    ("models__toy__dtype", "flot16", ["models.toy.dtype", "'flot16'", "did you mean 'float16'?"]),
    ("activations__positions", "generate", ["activations.positions", "mean 'generated'?"]),
    ("compute__device", "gpu", ["compute.device", "'gpu' is not one of auto, cpu, cuda"]),
    ("scorer__kind", "perspektive", ["scorer.kind", "'perspektive' is not one of lexicon"]),
    ("data__training_text__kind", "fiel", ["data.training_text.kind", "did you mean 'file'?"]),
    ("models__toy__post__kind", "dpoo", ["models.toy.post.kind", "did you mean 'dpo'?"]),
    ("study", "a b", ["study", "'a b' is not a name; use letters"]),
    ("study", "../elsewhere", ["study", "is not a name"]),
    ("models", {}, ["models"]),
    ("study", ..., ["the key 'study' is missing; add it"]),
    ("models__toy__post", ..., ["models.toy", "the key 'post' is missing; add it"]),
    ("models__toy__pre__steps", ..., ["models.toy.pre", "the key 'steps' is missing"]),
    ("figures__5a_top_toxic_shifts__last", ..., ["figures.5a_top_toxic_shifts", "'last' is miss"]),
    ("figures__5a_top_toxic_shifts", {"first": 9, "last": 3},
     ["figures.5a_top_toxic_shifts: the first rank, 9, is beyond the last, 3; give a range"]),
    ("data__training_text", ..., ["models.toy.pre is of kind train_from_scratch",
                                  "add training_text to data"]),
    ("data__preference_pairs", ..., ["models.toy.post is of kind dpo", "preference_pairs"]),
    ("models__toy__post", SFT, ["models.toy.post is of kind sft", "add demonstrations to data"]),
    ("data__labelled_comments", ...,
     ["directions.probe is of kind probe, which needs data.labelled_comments; add"]),
    ("data__challenge_prompts__prompt_words", 3, ["data.challenge_prompts", "'prompt_words'"]),
    ("data__perplexity_text", FILE | {"prompt_words": 3},
     ["data.perplexity_text: prompt_words is for challenge_prompts and reference_sentences alone"]),
    ("data__perplexity_text", FILE | {"severity": 1}, ["severity is for lexicon alone; leave it"]),
    ("data__challenge_prompts", {"kind": "file", "path": "nowhere/*.jsonl"},
     ["data.challenge_prompts.path: nowhere/*.jsonl does not exist; give a path that does"]),
    ("data__challenge_prompts", {"kind": "file", "path": "a**b"}, ["path: a**b does not exist"]),
    ("data__challenge_prompts", {"kind": "synthetic"},
     ["data.challenge_prompts: the key 'rows' is missing; add it"]),
    ("models__toy__post", {"kind": "directory", "path": "workflow_script*"},
     ["models.toy.post.path: workflow_script* does not exist"]),
    ("models__toy__pre", {"kind": "state_dict", "path": "Snakefile"},
     ["models.toy.pre: the key 'like' is missing; add it"]),
    ("models__toy__pre", {"kind": "state_dict", "path": "Snakefile", "like": "nowhere"},
     ["models.toy.pre.like: nowhere does not exist"]),
    ("models__toy__pre__width", 98, ["models.toy.pre.width: 98 is no multiple of 4, which 4 he"]),
    ("models__toy__pre", LLAMA | {"width": 12},
     ["models.toy.pre.width: 12 is no multiple of 8, which 4 heads of llama need"]),
    ("models__toy__post__label_smoothing", 0.1,
     ["models.toy.post.label_smoothing: is read by the losses robust, exo_pair, aot, aot_unpaired "
      "alone, not by sigmoid; leave it out"]),
    ("models__toy__post__loss", "robust",
     ["models.toy.post: the loss robust needs label_smoothing, as 0.1; add it"]),
    ("models__toy__post__loss", "exo_pair",
     ["models.toy.post: the loss exo_pair needs label_smoothing, as 0.1; add it"]),
    ("models__toy__post", DPO | {"kind": "kto", "batch_size": 1},
     ["models.toy.post.batch_size: kto compares with answers to other prompts of the same step, so "
      "a step needs 2 pairs or more; raise it"]),
    ("models__toy__post", DPO | {"kind": "orpo", "loss": "ipo"},
     ["models.toy.post: unknown key 'loss'"]),
    ("models__toy__chat", {"template": "post"},
     ["models.toy.chat.template: post is tuned here", "set it to pre"]),
    ("models__toy__autoencoders", {"sae": {"kind": "directory", "path": "nowhere"}},
     ["models.toy.autoencoders.sae.path: nowhere does not exist; give a path"]),
    ("models__toy__autoencoders", {"sae": {"kind": "directory", "path": "docs"}},
     ["models.toy.autoencoders.sae.path: docs holds no cfg.json; give the folder that does"]),
    ("models__toy__autoencoders__stream__active", 193,
     ["models.toy.autoencoders.stream.active: 193 of 192 features cannot be active; give fewer"]),
    ("models__toy__chat", {"sytem": "a"}, ["models.toy.chat", "did you mean 'system'?"]),
    ("models__toy__pre", {"kind": "same_as", "model": "toys"},
     ["models.toy.pre.model: 'toys' is not one of the models (toy); did you mean 'toy'?"]),
    ("models__toy__pre", {"kind": "same_as", "model": "toy"},
     ["models.toy.pre: goes round in a circle (toy/pre from toy/pre); give one of these another"]),
    ("models__toy__pre", {"kind": "same_as", "model": "toy", "stage": "post"},
     ["models.toy.pre: goes round in a circle (toy/pre from toy/post from toy/pre)"]),
    ("models__toy__pre", {"kind": "same_as", "model": "toy", "stage": "mid"},
     ["models.toy.pre.stage: 'mid' is not one of pre, post"]),
    ("models__toy__pre", {"kind": "same_as"}, ["models.toy.pre: the key 'model' is missing"]),
    ("scorer", {"kind": "classifier", "path": "Snakefile"},
     ["scorer: 'label' is missing; add it, since it is known only for unitary/toxic-bert"]),
    ("scorer", {"kind": "classifier", "repository": "unitary/toxic-brt", "revision": "0" * 40},
     ["scorer: 'label' is missing", "did you mean 'unitary/toxic-bert'?"]),
    ("scorer", {"kind": "classifier", "repository": "a/b", "revision": "0" * 40, "label": "x"},
     ["scorer: 'activation' is missing"]),
    ("directions__s", SVD | {"from": "s"},
     ["directions.s.from: 's' is not one of the directions but SVDs (probe, pair_svd, words)"]),
    ("directions", {"probe": PROBE, "s": SVD, "t": SVD | {"from": "s"}},
     ["directions.t.from: 's' is not one of the directions but SVDs (probe)"]),
    ("directions", {"probe": SVD}, ["directions but SVDs (there are none); give one that is"]),
    ("directions__s", SVD | {"components": 10},
     ["directions.s.components: 9 value vectors (neurons) have no 10 components; ask for fewer"]),
    ("data__lexicon", ..., ["scorer is of kind lexicon", "add lexicon to data"]),
    ("direction", "prob",
     ["direction: 'prob'", "(probe, svd, pair_svd, words)", "did you mean 'probe'?"]),
    ("figures__1a_layer_projections__ablated", "ablate_top_66",
     ["figures.1a_layer_projections.ablated", "did you mean 'ablate_top_6'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP"]},
     ["interventions.patch_x.groups", "'TP' is not one of TP-, TN+", "'TP-'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": []}, ["interventions.patch_x.groups"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-", ["AN-"]]},
     ["interventions.patch_x.groups: TP- is no list, but other items are; write [TP-]"]),
    ("interventions__transplant", {"kind": "transplant", "top": [2, 3], "parts": [["mlp"]]},
     ["interventions.transplant.parts: lists several sets, and top does too; give one set"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-"], "direction": "svm"},
     ["interventions.patch_x.direction", "'svm' is not one of the directions (probe, svd, pair"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-"], "dose": 0.5},
     ["interventions.patch_x.dose: a mean is assigned whole; for a part", "use kind shift"]),
    ("interventions__patch_x", {"kind": "patch", "top": 3, "values": "token", "random_sets": 9},
     ["interventions.patch_x.random_sets: not for values token; leave"]),
    ("interventions__shift_x", {"kind": "shift", "random_sets": 9},
     ["interventions.shift_x.random_sets: the row changes all neurons, so no other set"]),
    ("interventions__strip_x", {"kind": "strip", "random_sets": 9},
     ["interventions.strip_x.random_sets: the row changes all neurons"]),
    ("interventions__patch_x", {"kind": "patch", "heads": 3, "values": "token"},
     ["interventions.patch_x.values: heads are set to a mean or to what they do on the same"]),
    ("interventions__ablate_x", {"kind": "ablate", "heads": 3, "top": 3},
     ["interventions.ablate_x", "heads", "top"]),
    ("interventions__steer_x",
     {"kind": "steer", "along": "shift", "scale": 1, "length": "own"},
     ["interventions.steer_x.length: is that of a direction, and the row steers along the shift"]),
    ("interventions__edit_x", {"kind": "edit", "alpha": 0.5},
     ["interventions.edit_x: needs beta or groups; add one of them"]),
    ("interventions__edit_x", {"kind": "edit", "alpha": 0.5, "beta": 0.5, "groups": ["TP-"]},
     ["interventions.edit_x", "beta", "groups"]),
    ("interventions__edit_x",
     {"kind": "edit", "alpha": 0.5, "groups": ["TP-"], "without_most_active": 0.2},
     ["interventions.edit_x.without_most_active: goes with beta, and the row names its groups"]),
    ("interventions__transplant_x", {"kind": "transplant", "random_sets": 9},
     ["interventions.transplant_x.random_sets: the row changes all neurons"]),
    ("interventions__transplant_x", {"kind": "transplant", "top": 3, "parts": ["attention"]},
     ["interventions.transplant_x.parts: attention belongs to no neuron; give mlp, keys or val"]),
    ("interventions__transplant_x", {"kind": "transplant", "groups": ["TP-"], "rank": 1},
     ["interventions.transplant_x.rank: goes with whole matrices; leave it out"]),
    ("interventions__transplant_x", {"kind": "transplant", "rank": 1, "dose": 0.5},
     ["interventions.transplant_x", "rank", "dose"]),
    ("interventions__transplant_x",
     {"kind": "transplant", "layers": [0, 1], "parts": ["embedding"]},
     ["interventions.transplant_x.parts: embedding is in no layer; leave it out, or layers"]),
    ("interventions__transplant_x", {"kind": "transplant", "layers": [2, 1]},
     ["interventions.transplant_x.layers: the first layer, 2, is beyond the last, 1"]),
    ("models__toy__seed_of", "nobody", ["models.toy.seed_of: 'nobody' is not one of the recipes"]),
    ("models__toy__seed_of", "toy", ["models.toy.seed_of: 'toy' is not one of the recipes"]),
    ("sampling__rows", ["nobody"], ["sampling.rows: 'nobody' is not one of the rows (none, dpo"]),
    ("interventions__ablate_x", {"kind": "ablate", "groups": ["TP-"], "by": "change"},
     ["interventions.ablate_x.by: ranks neurons for `top`, which is missing; add it"]),
    ("interventions__ablate_x", {"kind": "ablate", "top": 3, "by": "change",
                                 "activation": "positive"},
     ["interventions.ablate_x.activation: goes with by cosine alone"]),
    ("further_scorers", {"r": {"kind": "guard", "path": "tests"}},
     ["further_scorers.r: 'scored_token' is missing; add it", "google/shieldgemma-2b"]),
    ("further_scorers", {"r": {"kind": "classifier", "path": "tests"}},
     ["further_scorers.r: 'label' is missing; add it"]),
    ("further_scorers",
     {"r": {"kind": "guard", "repository": "google/shieldgemma-2b", "revision": "0" * 40}},
     ["further_scorers.r.template_settings: google/shieldgemma-2b needs 'guideline'"]),
    ("scorer", {"kind": "guard", "path": "tests", "scored_token": "Yes", "other_token": "No",
                "template": "Is {answer} rude?"}, ["scorer.template: holds no {prompt}; add it"]),
    ("scorer", {"kind": "guard", "path": "tests", "scored_token": True, "other_token": "No"},
     ["scorer.scored_token: True is of type bool", "put it in quotes"]),
    ("scorer", {"kind": "guard", "path": "tests", "scored_token": "a", "other_token": "b",
                "template": "{prompt}{answer}", "template_settings": {"x": 1}},
     ["scorer.template_settings: are for the chat template"]),
    ("further_scorers", {"Toxicity": {"kind": "phrases"}},
     ["further_scorers: 'toxicity' is what tables call the first scorer"]),
    ("further_scorers", {"a": {"kind": "lexicon"}, "A": {"kind": "lexicon"}},
     ["further_scorers: 'a' and 'A' are one but for case"]),
    ("further_scorers", {"p": {"kind": "perspective", "endpoint": "a.example"}},
     ["further_scorers.p.endpoint: not an address"]),
    ("scorer", {"kind": "perspective", "request_path": "v1"},
     ["scorer.request_path: 'v1' is not a path, such as /v1/comments:analyze"]),
    ("scorer", {"kind": "perspective", "header": "X Key"}, ["scorer.header: 'X Key' is not"]),
    ("scorer", {"kind": "phrases", "phrases": []}, ["scorer.phrases: is empty"]),
    ("directions__words",
     {"kind": "embedding", "words_file": "data/rude.txt", "neutral_words": ["friend"]},
     ["directions.words.words_file: data/rude.txt does not exist; give a path that does"]),
    ("interventions__ablate_x", {"kind": "ablate", "file": "nowhere.csv"},
     ["interventions.ablate_x.file: nowhere.csv does not exist"]),
    ("interventions__ablate_x", {"kind": "ablate", "file": "a.csv", "top": 3},
     ["interventions.ablate_x"]),
    ("interventions__ablate_x", {"kind": "ablate", "top": 3, "activation": "negative"},
     ["interventions.ablate_x.activation", "positive"]),
    ("interventions__scale_keys_x", {"kind": "scale_keys", "top": 3},
     ["interventions.scale_keys_x", "'factor' is missing"]),
    ("interventions__top_3", {"kind": "ablate", "top": 3},
     ["interventions.top_3", "must begin with 'ablate_'; rename it, as in ablate_top_3"]),
    ("interventions__patch_3", {"kind": "ablate", "top": 3},
     ["interventions.patch_3", "must begin with 'ablate_'"]),
    ("interventions__none", {"kind": "ablate", "top": 3}, ["interventions.none", "'ablate_'"]),
    ("interventions__dpo", {"kind": "ablate", "top": 3}, ["interventions.dpo", "'ablate_'"]),
    ("interventions__control_x", {"kind": "control", "groups": ["TP-"]},
     ["interventions.control_x.kind", "'control' is not one of"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "words"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_is_a_sentence_naming_file_key_and_remedy(key, value, words, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(**{key: value}), "my_study.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my_study.yaml: ")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("loss", ["robust", "exo_pair", "aot", "aot_unpaired"])
def test_losses_that_read_label_smoothing_take_it(loss, monkeypatch):
    monkeypatch.chdir(PROJECT)
    check_study(changed(models__toy__post=DPO | {"loss": loss, "label_smoothing": 0.1}), "s.yaml")


def test_damping_chooses_by_itself_and_may_have_random_sets(monkeypatch):
    monkeypatch.chdir(PROJECT)
    check_study(changed(interventions__damp_x={"kind": "damp", "random_sets": 19}), "s.yaml")


def test_a_configuration_that_is_no_mapping_is_a_sentence():
    with pytest.raises(InputError, match="my_study"):
        check_study([], "my_study.yaml")


def test_a_path_that_does_not_exist_is_named_with_its_key():
    config = changed()
    config["directions"]["mine"] = {"kind": "file", "path": "nowhere/mine.safetensors"}
    with pytest.raises(InputError) as caught:
        check_study(config, "s.yaml")
    assert str(caught.value).startswith(
        "s.yaml: directions.mine.path: nowhere/mine.safetensors does not exist"
    )


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"kind": "edit", "alpha": [0.1, 0.10000001], "beta": 0.5}, "edit_x_a0.1_b0.5"),
        ({"kind": "edit", "alpha": 0.1, "beta": [0.5, 0.50000001]}, "edit_x_a0.1_b0.5"),
        ({"kind": "steer", "scale": [999999.8, 999999.9]}, "steer_x_x1e+06"),
        ({"kind": "scale_keys", "top": 3, "factor": [2, 2.0000001]}, "scale_keys_x_x2"),
    ],
)
def test_values_that_make_one_row_are_refused(row, name, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(interventions={f"{row['kind']}_x": row}), "my_study.yaml")
    assert f"two of its values make the same row '{name}'" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x" * 5000, "cannot be read (File name too long)"),
        ("config.yaml", "is a file, where a folder should be; give the folder"),
        ("rules/{a}", "holds a brace"),
        ("rules/x", "does not exist"),
    ],
)
def test_a_path_that_is_no_folder_is_named(path, words, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(models__toy__post={"kind": "directory", "path": path}), "my_study.yaml")
    assert "my_study.yaml: models.toy.post.path: " in str(caught.value)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_adapter_in_place_of_a_model_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    (tmp_path / "adapter_config.json").touch()
    adapter = {"kind": "directory", "path": str(tmp_path)}
    with pytest.raises(
        InputError, match=r"models\.toy\.post\.path: .* holds an adapter and no who"
    ):
        check_study(changed(models__toy__post=adapter), "my_study.yaml")


@pytest.mark.parametrize("key", ["data__challenge_prompts", "directions__given"])
def test_a_folder_where_a_file_should_be_is_named(key, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError, match="is a folder, where a file should be; give the file"):
        check_study(changed(**{key: {"kind": "file", "path": "rules"}}), "my_study.yaml")


@pytest.mark.parametrize("key", ["directions__given", "data__challenge_prompts"])
def test_a_pipe_where_a_file_should_be_is_named(key, tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a pipe or a device, which cannot be read twice"):
        check_study(changed(**{key: {"kind": "file", "path": str(pipe)}}), "my_study.yaml")
