"""The frame of a table's HTML page, which needs nothing from elsewhere."""

import html

STYLE = """body { font: 14px sans-serif; margin: 1.5em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35em 0.9em; text-align: left; vertical-align: top; }
th, td { border-bottom: 1px solid #ddd; }
"""


def table_page(title: str, table: str, style: str = "") -> str:
    """A page with a title, a table in HTML and, if it needs them, more rules of style."""
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
