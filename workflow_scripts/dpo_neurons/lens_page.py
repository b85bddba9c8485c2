"""The logit-lens table for reading: in Markdown and as a page."""

import html
import re

import pandas as pd

from dpo_neurons.table_page import table_page

STYLE = """td:first-child { white-space: nowrap; }
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
    return table_page(title, body, STYLE)


def _html_row(row: tuple[str, str, list[str], list[str]]) -> str:
    name, cosine, *tokens = row
    kind = ' class="direction"' if name.startswith("direction") else ""
    lists = (" ".join(f"<code>{html.escape(token)}</code>" for token in some) for some in tokens)
    cells = "".join(f"<td>{cell}</td>" for cell in (name, cosine, *lists))
    return f"<tr{kind}>{cells}</tr>\n"
