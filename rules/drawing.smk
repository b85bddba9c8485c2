"""What the rules of the figures share: a figure's files, its place in the report, its program."""


def figure_files(figure, caption=None):
    """The four files of a figure; the page goes into the report, under its model."""
    stem = f"{RESULTS}/figures/{{model}}/{figure}"
    page = report(
        f"{stem}.html",
        caption=f"../report/figures/{caption or figure}.rst",
        category="{model}",
        subcategory="figures",
        labels={"figure": figure},
    )
    return {"json": f"{stem}.json", "html": page, "svg": f"{stem}.svg", "png": f"{stem}.png"}


def stem_of(wildcards, output):
    """Path of a figure's files less their endings."""
    return str(Path(output.json).with_suffix(""))


def drawn_by(program, **settings):
    """Params of a figure: the program that draws it, its settings as options, its code's digest."""
    return {
        "program": program,
        "settings": write_options(settings),
        "code": code_of(f"figures/{program}"),
    }
