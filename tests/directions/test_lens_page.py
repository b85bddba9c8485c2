"""The logit-lens table as Markdown and as a page: no token breaks either."""

from html.parser import HTMLParser

import pandas as pd
import pytest

from dpo_neurons.directions.logit_lens import (
    COLUMNS,
    format_markdown,
    format_page,
    group_by_vector,
)

NASTY = ["'|'", "'`'", "'``x`'", "'</td><script>'", "'&lt;'", "'  a'", r"'\n'", "'*_[]'", '"\'"']


def table(directions=1, tokens=("'a'", "' b'")):
    rows = []
    for direction in range(1, directions + 1):
        for layer, neuron, cosine in ((pd.NA, pd.NA, 1.0), (0, 7, 0.51234), (3, 17, -0.4)):
            for sign in "+-":
                for rank, token in enumerate(tokens, start=1):
                    shown = token if sign == "+" else token[::-1]
                    rows.append(
                        (direction, layer, neuron, cosine, sign, rank, rank, shown, 1.0 / rank)
                    )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"layer": "Int64", "neuron": "Int64"})


class Cells(HTMLParser):
    """Texts of the cells of a page's table: one list per row, with separate tokens."""

    def __init__(self):
        super().__init__()
        self.rows, self.tags, self.classes = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.classes.append(dict(attributes).get("class"))
        if tag in ("td", "th"):
            self.rows[-1].append([])

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1].append(data)


def parsed(page):
    cells = Cells()
    cells.feed(page)
    return cells


def test_a_row_is_a_vector_with_the_tokens_of_both_its_signs():
    assert group_by_vector(table()) == [
        ("direction", "1.000", ["'a'", "' b'"], ["'a'", "'b '"]),
        ("layer 0, neuron 7", "0.512", ["'a'", "' b'"], ["'a'", "'b '"]),
        ("layer 3, neuron 17", "-0.400", ["'a'", "' b'"], ["'a'", "'b '"]),
    ]


def test_rows_of_a_subspace_are_numbered():
    names = [name for name, *_ in group_by_vector(table(directions=2))]
    assert names[0] == "direction 1"
    assert names[3] == "direction 2"
    assert names[1:3] == names[4:6]


def test_markdown_is_a_table_of_code():
    lines = format_markdown(table()).splitlines()
    assert lines[1] == "| --- | --- | --- | --- |"
    assert lines[3] == "| layer 0, neuron 7 | 0.512 | `'a'` `' b'` | `'a'` `'b '` |"
    assert len(lines) == 2 + 3


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("'|'", r"`'\|'`"),
        ("'`'", "``'`'``"),
        ("'``x`'", "```'``x`'```"),
        (r"'\n'", r"`'\n'`"),
        ("'<br>'", "`'<br>'`"),
    ],
)
def test_pipes_and_backticks_do_not_end_a_cell_of_markdown(token, code):
    first = format_markdown(table(tokens=[token])).splitlines()[2]
    assert first.startswith(f"| direction | 1.000 | {code} | ")
    assert first.replace(r"\|", "").count("|") == 5


def test_a_page_shows_every_token_as_it_is():
    cells = parsed(format_page(table(tokens=NASTY), "Toy"))
    assert cells.rows[1][2] == cells.rows[2][2] == NASTY
    assert cells.rows[1][3] == [token[::-1] for token in NASTY]
    assert len(cells.rows) == 1 + 3
    assert "script" not in cells.tags
    assert cells.classes == [None, "direction", None, None]


def test_a_page_needs_nothing_else():
    page = format_page(table(), "Lens of <probe> & more")
    assert "<title>Lens of &lt;probe&gt; &amp; more</title>" in page
    assert "http" not in page
    assert not {"link", "img", "script"} & set(parsed(page).tags)
