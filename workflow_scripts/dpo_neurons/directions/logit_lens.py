"""The logit lens: which tokens a vector in the residual stream promotes, as table and page."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.directions.nearest_value_vectors import (
    NearestValueVectors,
    find_nearest_value_vectors,
)
from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.files.table_page import table_page
from dpo_neurons.models.unembedding import Unembedding
from dpo_neurons.statistics.ranking import largest

COLUMNS = (
    "direction", "layer", "neuron", "cosine", "sign", "rank", "token_id", "token", "product",
)  # fmt: skip


def named_vectors(
    checkpoint: Path, directions: np.ndarray, count: int, directions_file: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """Each direction, unit rows (k, d_model), followed by the value vectors that lie along it.

    Up to `count` value vectors with the largest cosines come first, then up to `count` with the
    smallest, of which only those above and below zero. Returns their names, a row a vector
    (direction, counting from 1; layer and neuron, missing for the direction itself; cosine), and
    the vectors, (n, d_model).
    """
    both = np.concatenate([directions, -directions])
    aligned = [
        _along(one) for one in find_nearest_value_vectors(checkpoint, both, count, directions_file)
    ]
    names, vectors = [], []
    for row, direction in enumerate(directions):
        names.append((row + 1, pd.NA, pd.NA, 1.0))
        vectors.append(direction[None])
        for side, found in ((1, aligned[row]), (-1, aligned[row + len(directions)])):
            named = zip(found.layers, found.neurons, side * found.cosines, strict=True)
            names.extend((row + 1, *name) for name in named)
            vectors.append(found.vectors)
    table = pd.DataFrame(names, columns=["direction", "layer", "neuron", "cosine"])
    return table.astype({"layer": "Int64", "neuron": "Int64"}), np.concatenate(vectors)


def lens_table(
    names: pd.DataFrame,
    vectors: np.ndarray,
    unembedding: Unembedding,
    texts: TokenTexts,
    count: int,
) -> pd.DataFrame:
    """The `count` tokens with the largest dot product with each vector, and with its negative.

    A row a token: its vector's name, the vector's sign, rank (from 1), token_id, token in quotes,
    and the dot product of the signed vector with the token's row of the unembedding. Ids that the
    tokenizer does not know, which pad some models' vocabularies, are left out.
    """
    known = np.array([number for number in texts.ids() if number < unembedding.vocabulary])
    products = unembedding.products(vectors)[:, known]
    rows = []
    for name, of_vector in zip(names.itertuples(index=False), products, strict=True):
        for sign, signed in (("+", of_vector), ("-", -of_vector)):
            for rank, place in enumerate(largest(signed, count), start=1):
                number = int(known[place])
                rows.append((*name, sign, rank, number, texts.quoted(number), signed[place]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"layer": "Int64", "neuron": "Int64"})


def _along(found: NearestValueVectors) -> NearestValueVectors:
    kept = found.cosines > 0
    return NearestValueVectors(
        found.layers[kept], found.neurons[kept], found.cosines[kept], found.vectors[kept]
    )


PAGE_STYLE = """td:first-child { white-space: nowrap; }
tr.direction { background: #f2f2f2; font-weight: bold; }
code { unicode-bidi: isolate; white-space: pre-wrap; margin-right: 0.5em; }
"""
HEADS = ("vector", "cosine", "top tokens", "top tokens of its negative")


def readable(table: pd.DataFrame) -> list[tuple[str, str, list[str], list[str]]]:
    """A row a vector: its name, its cosine, its top tokens, those of its negative."""
    several = table["direction"].nunique() > 1
    rows = []
    for key, tokens in table.groupby(["direction", "layer", "neuron"], sort=False, dropna=False):
        direction, layer, neuron = key
        name = f"direction {direction}" if several else "direction"
        if not pd.isna(layer):
            name = f"layer {layer}, neuron {neuron}"
        by_sign = {sign: tokens.loc[tokens["sign"] == sign, "token"].tolist() for sign in "+-"}
        rows.append((name, f"{tokens['cosine'].iloc[0]:.3f}", by_sign["+"], by_sign["-"]))
    return rows


def to_markdown(table: pd.DataFrame) -> str:
    """The readable table in Markdown, each token as code."""
    rows = [HEADS, ["---"] * len(HEADS)]
    for name, cosine, *tokens in readable(table):
        rows.append([name, cosine, *(" ".join(map(_code, some)) for some in tokens)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _code(token: str) -> str:
    longest = max(map(len, re.findall("`+", token)), default=0)
    fence = "`" * (longest + 1)
    return fence + token.replace("|", r"\|") + fence


def to_page(table: pd.DataFrame, title: str) -> str:
    """The readable table as an HTML page that needs nothing else."""
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    rows = "".join(map(_html_row, readable(table)))
    body = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"
    return table_page(title, body, PAGE_STYLE)


def _html_row(row: tuple[str, str, list[str], list[str]]) -> str:
    name, cosine, *tokens = row
    kind = ' class="direction"' if name.startswith("direction") else ""
    lists = (" ".join(f"<code>{html.escape(token)}</code>" for token in some) for some in tokens)
    cells = "".join(f"<td>{cell}</td>" for cell in (name, cosine, *lists))
    return f"<tr{kind}>{cells}</tr>\n"
