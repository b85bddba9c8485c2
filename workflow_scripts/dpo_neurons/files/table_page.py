"""Tables for reading, in Markdown and as self-contained HTML pages."""

import html

import pandas as pd

STYLE = """body { font: 14px sans-serif; margin: 1.5em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35em 0.9em; text-align: left; vertical-align: top; }
th, td { border-bottom: 1px solid #ddd; }
"""


def table_page(title: str, table: str, style: str = "") -> str:
    """Return a page with a title and a table in HTML; style: further CSS rules."""
    title = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
{STYLE}{style}</style>
</head>
<body>
<h1>{title}</h1>
{table}
</body>
</html>
"""


def to_markdown(shown: pd.DataFrame) -> str:
    """Return a table of texts in Markdown."""
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_page(shown: pd.DataFrame, title: str) -> str:
    """Return a table of texts as a self-contained HTML page."""
    return table_page(title, shown.to_html(index=False, border=0))
