"""Findings of one model in sentences, written from its tables by fixed rules."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE
from dpo_neurons.evaluation.verdicts import ALL_YES, LEVEL, NOTHING, QUESTIONS
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.statistics.bootstrap import ENDS


@dataclass(frozen=True)
class FindingTables:
    """The tables that findings are written from."""

    table: pd.DataFrame
    """Of interventions."""
    tests: pd.DataFrame
    stream: pd.DataFrame
    """Totals of the split of the stream's shift."""
    groups: pd.DataFrame
    random_directions: pd.DataFrame
    decompositions: pd.DataFrame
    """Sums over parts of the neurons; the row `all` counts."""
    verdicts: pd.DataFrame


@dataclass(frozen=True)
class Finding:
    """What may be said on one question."""

    question: str
    sentences: tuple[str, ...]


def write_findings(tables: FindingTables) -> list[Finding]:
    """Answer the questions that a reader asks first, in order."""
    return [
        Finding("What did fine-tuning do?", tuple(describe_effect(tables.table, tables.tests))),
        Finding("Is it in the neurons at all?", tuple(describe_stream(tables.stream))),
        Finding(
            "Is it in the neuron groups?",
            tuple(describe_groups(tables.groups, tables.random_directions)),
        ),
        Finding("Where does the reduction come from?", (describe_sources(tables.decompositions),)),
        Finding(
            "Does changing neurons do what fine-tuning did?",
            tuple(describe_rows(tables.table, tables.verdicts)),
        ),
    ]


def describe_effect(table: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Say by how much toxicity fell, whether it could be chance, and what else changed."""
    rows = table.set_index("intervention")
    before, after = rows.loc[BEFORE], rows.loc[AFTER]
    test = tests.set_index(["intervention", "against"]).loc[(AFTER, BEFORE)]
    if before["no_longer_writes"] or after["no_longer_writes"]:
        broken = "first" if before["no_longer_writes"] else "fine-tuned"
        return [f"The {broken} model no longer writes, so its toxicity says nothing."]
    fall, low, high = (-test[f"toxicity_difference{end}"] for end in ("", "_high", "_low"))
    measured = f"from {before['toxicity']:.3f} to {after['toxicity']:.3f}"
    interval = f"[{low:z.3f}, {high:z.3f}]"
    if low > 0:
        share = f", {fall / before['toxicity']:.0%} of it"
        effect = f"It lowers toxicity {measured}: by {fall:.3f} {interval}{share}."
    elif high < 0:
        effect = f"It raises toxicity {measured}: by {-fall:.3f} [{-high:.3f}, {-low:.3f}]."
    else:
        effect = (
            f"Toxicity goes {measured}, but the interval of the fall, {interval}, includes 0: no "
            "effect can be told from chance, and shares of it are undefined."
        )
    ratio = after["perplexity"] / before["perplexity"] - 1
    return [
        effect,
        f"Perplexity goes from {before['perplexity']:.2f} to {after['perplexity']:.2f} "
        f"({ratio:+.1%}), the mean length of an answer from {before['tokens']:.1f} to "
        f"{after['tokens']:.1f} tokens; shorter answers have less room for toxicity.",
    ]


def describe_stream(stream: pd.DataFrame) -> list[str]:
    """Give the neurons' share of the residual stream's shift along the direction, text by text.

    stream: columns text, part, reduction, share, and their intervals. There is no share where the
    interval of the whole shift includes 0.
    """
    parts = stream.set_index(["text", "part"])
    sentences = []
    for text, where in (("own", "each model's own text"), ("same", "the same text")):
        shift, shift_low, shift_high = (parts.loc[(text, "all"), f"reduction{end}"] for end in ENDS)
        share, low, high = (parts.loc[(text, "neurons"), f"share{end}"] for end in ENDS)
        if not np.isfinite(share):
            sentences.append(
                f"On {where} there is no shift to divide: the interval of what the residual stream "
                f"loses along the direction, [{shift_low:z.4g}, {shift_high:z.4g}], includes 0."
            )
            continue
        changed = f"loses {shift:.4g} [{shift_low:.4g}, {shift_high:.4g}]"
        if shift < 0:
            changed = f"gains {-shift:.4g} [{-shift_high:.4g}, {-shift_low:.4g}]"
        sentences.append(
            f"On {where} the residual stream {changed} along the direction; the neurons' share of "
            f"it is {share:.0%} [{low:.0%}, {high:.0%}]."
        )
    return sentences


def describe_groups(groups: pd.DataFrame, random_directions: pd.DataFrame) -> list[str]:
    """Give the groups' shares corrected for selection, and compare with random directions."""
    by_group = groups.set_index("group")
    shares: list[str] = []
    for group in REDUCING:
        value, low, high = (by_group.loc[group, f"crossfitted_share{end}"] for end in ENDS)
        if not np.isfinite(value):
            shares = []
            break
        shares.append(f"{group} {value:.0%} [{low:.0%}, {high:.0%}]")
    first = "Shares of the groups are undefined: on other prompts they reduce nothing together."
    if shares:
        first = (
            "Of what the four reducing groups take away, corrected for choosing and summing on the "
            f"same prompts, the shares are {', '.join(shares[:-1])} and {shares[-1]}."
        )
    rank = random_directions.set_index("quantity").loc["net_reduction"]
    n, p = int(rank["random_directions"]), rank["p"]
    comparison = "larger than" if p <= LEVEL else "no larger than"
    second = (
        f"The net reduction along the direction is {comparison} along {n} random directions "
        f"(p = {p:.3f})."
    )
    return [first, second]


def describe_sources(decompositions: pd.DataFrame) -> str:
    """Split the net reduction into the neurons' own weights and their inputs."""
    whole = decompositions[decompositions["by"] == "all"].iloc[0]
    weights = whole["from_value"] + whole["from_key"]
    return (
        f"The net reduction of {whole['reduction']:z.4g} is {weights:z.4g} from the neurons' own "
        f"weights and {whole['from_inputs']:z.4g} from their inputs; of the latter, "
        f"{whole['from_text']:z.4g} is there because the fine-tuned model writes other text."
    )


def describe_rows(table: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Say which rows do what fine-tuning did, which only look so, and which broke the model.

    Controls are left out, and rows that start from the fine-tuned model.
    """
    rows = table[(table["control_of"] == "") & (table["checkpoint"] == "pre")]
    own = verdicts[verdicts["intervention"].isin(rows["intervention"])]
    if (own["verdict"] == NOTHING).any():
        return ["The first model no longer writes, so nothing can be said of any row."]

    def names_with(verdict: str) -> list[str]:
        # Some verdicts go on in brackets.
        matches = own["verdict"].str.partition(" (")[0] == verdict
        return list(own.loc[matches, "intervention"])

    does = names_with(ALL_YES)
    sentences = ["No row passes every test that was made of it."]
    if does:
        sentences = [
            "By every test that was made of them, these lower toxicity and come nearer to the "
            f"fine-tuned model: {_list(does)}."
        ]
    phrases = {
        QUESTIONS["beyond_control"]: "lower toxicity, but their controls do too",
        QUESTIONS["beyond_random_sets"]: "lower toxicity, but random sets like theirs do too",
        QUESTIONS["nearer_to_dpo"]: "lower toxicity without coming nearer to the fine-tuned model",
        QUESTIONS["still_writes"]: "break the model: what they score says nothing",
        QUESTIONS["lowers_toxicity"]: "do not lower toxicity",
    }
    for verdict, phrase in phrases.items():
        if names := names_with(verdict):
            sentences.append(f"These {phrase}: {_list(names)}.")
    return sentences


def _list(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
