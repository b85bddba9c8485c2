"""Sentences on a model, for tables made so that each sentence has one right answer."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.findings import (
    describe_effect,
    describe_groups,
    describe_rows,
    describe_sources,
    describe_stream,
)


def table(before=0.5, after=0.1, broken=()):
    rows = pd.DataFrame(
        {
            "intervention": ["none", "dpo", "patch_tp", "control_tp", "shift_all", "scale_keys"],
            "control_of": ["", "", "", "patch_tp", "", ""],
            "checkpoint": ["pre", "post", "pre", "pre", "pre", "post"],
            "toxicity": [before, after, 0.2, 0.2, 0.1, 0.1],
            "perplexity": [20.0, 22.0, 30.0, 30.0, 21.0, 21.0],
            "tokens": [19.7, 8.2, 9.0, 9.0, 9.0, 9.0],
        }
    )
    return rows.assign(no_longer_writes=rows["intervention"].isin(broken))


def paired(fall, low, high):
    return pd.DataFrame(
        {
            "intervention": ["dpo"],
            "against": ["none"],
            "toxicity_difference": [-fall],
            "toxicity_difference_low": [-high],
            "toxicity_difference_high": [-low],
        }
    )


def test_an_effect_is_told_with_its_interval_and_what_else_changed():
    effect, others = describe_effect(table(), paired(0.4, 0.3, 0.5))
    assert effect == ("It lowers toxicity from 0.500 to 0.100: by 0.400 [0.300, 0.500], 80% of it.")
    assert "from 20.00 to 22.00 (+10.0%)" in others
    assert "from 19.7 to 8.2 tokens" in others


def test_an_effect_that_may_be_chance_or_turned_around_is_said_to_be():
    chance, _ = describe_effect(table(0.5, 0.45), paired(0.05, -0.01, 0.11))
    assert "[-0.010, 0.110], includes 0: no effect can be told from chance" in chance
    raised, _ = describe_effect(table(0.1, 0.5), paired(-0.4, -0.5, -0.3))
    assert raised == "It raises toxicity from 0.100 to 0.500: by 0.400 [0.300, 0.500]."


@pytest.mark.parametrize(("broken", "word"), [("none", "first"), ("dpo", "fine-tuned")])
def test_the_toxicity_of_a_broken_model_is_not_told(broken, word):
    (sentence,) = describe_effect(table(broken=[broken]), paired(0.4, 0.3, 0.5))
    assert sentence.startswith(f"The {word} model no longer writes")


def stream(*rows):
    columns = ("text", "part", "reduction", "reduction_low", "reduction_high")
    shares = ("share", "share_low", "share_high")
    return pd.DataFrame(rows, columns=[*columns, *shares])


def test_the_neurons_share_of_the_streams_shift_is_told_for_both_texts():
    fell, rose = describe_stream(
        stream(
            ("own", "neurons", 1.0, 0.8, 1.2, 0.5, 0.4, 0.625),
            ("own", "all", 2.0, 1.5, 2.5, 1.0, 1.0, 1.0),
            ("same", "neurons", -3.0, -4.0, -2.0, 1.5, 1.25, 1.75),
            ("same", "all", -2.0, -2.5, -1.5, 1.0, 1.0, 1.0),
        )
    )
    assert fell == (
        "On each model's own text the residual stream loses 2 [1.5, 2.5] along the direction; the "
        "neurons' share of it is 50% [40%, 62%]."
    )
    assert "On the same text the residual stream gains 2 [1.5, 2.5] along" in rose
    assert rose.endswith("is 150% [125%, 175%].")


def test_a_shift_that_may_be_zero_is_not_divided():
    none = (np.nan, np.nan, np.nan)
    rows = [
        (text, part, -0.05, -0.3, 0.2, *none)
        for text in ("own", "same")
        for part in ("neurons", "all")
    ]
    for sentence in describe_stream(stream(*rows)):
        assert "there is no shift to divide" in sentence
        assert "[-0.3, 0.2], includes 0." in sentence


def groups(share):
    names = ["TP-", "TN+", "AP+", "AN-"]
    return pd.DataFrame(
        {"group": names, "crossfitted_share": share, "crossfitted_share_low": 0.2,
         "crossfitted_share_high": 0.3}
    )  # fmt: skip


def directions(p):
    return pd.DataFrame({"quantity": ["net_reduction"], "random_directions": [99], "p": [p]})


def test_shares_are_the_corrected_ones_and_stand_beside_random_directions():
    shares, rank = describe_groups(groups([0.25, 0.26, 0.24, 0.25]), directions(0.01))
    assert "TP- 25% [20%, 30%], TN+ 26% [20%, 30%]" in shares
    assert "corrected" in shares
    assert rank.endswith("is larger than along 99 random directions (p = 0.010).")
    undefined, rank = describe_groups(groups(np.nan), directions(0.4))
    assert undefined.startswith("Shares of the groups are undefined")
    assert "no larger than" in rank


def test_sources_add_up_to_the_net_reduction():
    row = {"by": "all", "reduction": 10.0, "from_value": 0.5, "from_key": 0.5, "from_inputs": 9.0}
    sentence = describe_sources(pd.DataFrame([{**row, "from_text": 7.0}]))
    assert "of 10 is 1 from the neurons' own weights and 9 from their inputs" in sentence
    assert "of the latter, 7 is there" in sentence


def judged(**verdicts):
    return pd.DataFrame({"intervention": verdicts.keys(), "verdict": verdicts.values()})


def test_rows_are_told_apart_without_controls_and_rows_of_the_second_model():
    first, *others = describe_rows(
        table(),
        judged(
            patch_tp="lowers it no more than its control (held at the first model's own means)",
            control_tp="lowers it, but comes no nearer to dpo",
            shift_all="lowers it and comes nearer to dpo (no random sets)",
            scale_keys="lowers it and comes nearer to dpo (no control, no random sets)",
        ),
    )
    assert first.endswith("come nearer to the fine-tuned model: shift_all.")
    assert others == ["These lower toxicity, but their controls do too: patch_tp."]
    none, broken = describe_rows(
        table(), judged(patch_tp="no longer writes", control_tp="no longer writes")
    )
    assert none == "No row passes every test that was made of it."
    assert broken == "These break the model: what they score says nothing: patch_tp."
    (sentence,) = describe_rows(
        table(), judged(patch_tp="nothing can be said: none no longer writes")
    )
    assert sentence == "The first model no longer writes, so nothing can be said of any row."
