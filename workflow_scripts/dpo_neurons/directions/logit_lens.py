"""The logit lens: the tokens that a vector in the residual stream promotes.

A token is promoted by its dot product with the vector, which goes through the final norm's gain
first, as in the code of Yang et al. (arXiv 2411.06424v3); docs/directions.md says what is left out.
"""

import html
import re
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from dpo_neurons.directions.nearest_value_vectors import find_nearest_value_vectors
from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.files.table_page import table_page
from dpo_neurons.models.unembedding import Unembedding

COLUMNS = (
    "direction", "layer", "neuron", "cosine", "sign", "rank", "token_id", "token", "product",
)  # fmt: skip


def collect_vectors(
    checkpoint: Path, directions: np.ndarray, count: int, directions_file: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """Collect directions, unit rows (k, d_model), and written vectors along them.

    After each direction come up to `count` written vectors with the largest positive cosines, then
    up to `count` with the smallest negative ones. directions_file: for the error message.
    Returns a row a vector (direction, from 1; layer and neuron, missing for the direction itself;
    cosine), and the vectors, (n, d_model).
    """
    both_signs = np.concatenate([directions, -directions])
    nearest = [
        vectors.on_positive_side()
        for vectors in find_nearest_value_vectors(checkpoint, both_signs, count, directions_file)
    ]
    names: list[tuple[object, ...]] = []
    vectors: list[np.ndarray] = []
    for row, direction in enumerate(directions):
        names.append((row + 1, pd.NA, pd.NA, 1.0))
        vectors.append(direction[None])
        for sign, on_side in ((1, nearest[row]), (-1, nearest[row + len(directions)])):
            cosines = sign * on_side.cosines
            named = zip(on_side.layers, on_side.neurons, cosines, strict=True)
            names.extend((row + 1, *name) for name in named)
            vectors.append(on_side.vectors)
    table = pd.DataFrame(names, columns=["direction", "layer", "neuron", "cosine"])
    return table.astype({"layer": "Int64", "neuron": "Int64"}), np.concatenate(vectors)


def tabulate_tokens(
    names: pd.DataFrame,
    vectors: np.ndarray,
    unembedding: Unembedding,
    texts: TokenTexts,
    count: int,
    norm: Literal["final", "none"],
) -> pd.DataFrame:
    """Tabulate the `count` tokens that each vector, and its negative, promotes most.

    names, vectors: of `collect_vectors`. norm: as in `Unembedding.iterate_products`. Ids that the
    tokenizer does not know, which pad some models' vocabularies, are left out.
    Returns a row a token, with the COLUMNS: the vector's name, its sign, rank (from 1), token_id,
    token (in quotes), and product: of the signed vector, normed, with the token's row.
    """
    largest = unembedding.find_largest_products(vectors, texts.ids(), count, norm)
    rows: list[tuple[object, ...]] = []
    for place, name in enumerate(names.itertuples(index=False)):
        for sign, mark in ((1, "+"), (-1, "-")):
            ids, products = (of_sign[place] for of_sign in largest[sign])
            for rank, (token_id, product) in enumerate(zip(ids, products, strict=True), start=1):
                quoted = texts.quote(int(token_id))
                rows.append((*name, mark, rank, int(token_id), quoted, product))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"layer": "Int64", "neuron": "Int64"})


class VectorTokens(NamedTuple):
    """A row of the table for reading: one vector and the tokens of both its signs."""

    name: str
    cosine: str
    tokens: list[str]
    tokens_of_negative: list[str]


HEADS = ("vector", "cosine", "top tokens", "top tokens of its negative")
"""Heads of the table's columns."""


def group_by_vector(table: pd.DataFrame) -> list[VectorTokens]:
    """Turn the table of `tabulate_tokens` into a row a vector.

    Directions are numbered if there are several.
    """
    several = table["direction"].nunique() > 1
    rows = []
    for key, tokens in table.groupby(["direction", "layer", "neuron"], sort=False, dropna=False):
        direction, layer, neuron = key
        name = f"direction {direction}" if several else "direction"
        if not pd.isna(layer):
            name = f"layer {layer}, neuron {neuron}"
        by_sign = {sign: tokens.loc[tokens["sign"] == sign, "token"].tolist() for sign in "+-"}
        cosine = f"{tokens['cosine'].iloc[0]:.3f}"
        rows.append(VectorTokens(name, cosine, by_sign["+"], by_sign["-"]))
    return rows


def format_markdown(table: pd.DataFrame) -> str:
    """Format a row a vector as a table in Markdown, each token as code."""
    rows = [HEADS, ("---",) * len(HEADS)]
    for vector in group_by_vector(table):
        cells = (vector.tokens, vector.tokens_of_negative)
        rows.append((vector.name, vector.cosine, *(" ".join(map(_code, cell)) for cell in cells)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _code(token: str) -> str:
    """Write a token as code in a cell of a Markdown table.

    It stands between more backticks than it holds in a row.
    """
    longest = max(map(len, re.findall("`+", token)), default=0)
    fence = "`" * (longest + 1)
    return fence + token.replace("|", r"\|") + fence


PAGE_STYLE = """td:first-child { white-space: nowrap; }
tr.direction { background: #f2f2f2; font-weight: bold; }
code { unicode-bidi: isolate; white-space: pre-wrap; margin-right: 0.5em; }
"""


def format_page(table: pd.DataFrame, title: str) -> str:
    """Format a row a vector as a table on an HTML page that needs no other file."""
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    rows = "".join(map(_html_row, group_by_vector(table)))
    body = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"
    return table_page(title, body, PAGE_STYLE)


def _html_row(vector: VectorTokens) -> str:
    kind = ' class="direction"' if vector.name.startswith("direction") else ""
    lists = (
        " ".join(f"<code>{html.escape(token)}</code>" for token in tokens)
        for tokens in (vector.tokens, vector.tokens_of_negative)
    )
    cells = "".join(f"<td>{cell}</td>" for cell in (vector.name, vector.cosine, *lists))
    return f"<tr{kind}>{cells}</tr>\n"
