"""Helpers for the rules of figures: a figure's files, its place in the report, its program."""


def figure_files(figure, caption=None):
    """Return the four files of a figure; the vector goes into the report, under its model.

    Each page carries a copy of Vega, which would make the report fifteen times as large.
    """
    stem = f"{RESULTS}/figures/{{model}}/{figure}"
    vector = report(
        f"{stem}.svg",
        caption=f"../report/figures/{caption or figure}.rst",
        category="{model}",
        subcategory="figures",
        labels={"figure": figure},
    )
    return {"json": f"{stem}.json", "html": f"{stem}.html", "svg": vector, "png": f"{stem}.png"}


def stem_of(wildcards, output):
    """Return the path of a figure's files without their endings."""
    return str(Path(output.json).with_suffix(""))


def drawn_by(program, **settings):
    """Return the params of a figure: its program, settings as options, and code digest."""
    return {
        "program": program,
        "settings": write_options(settings),
        "code": code_of(f"figures/{program}"),
    }
