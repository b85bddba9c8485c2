"""Helpers for the rules of figures: a figure's files, its place in the report, its program."""


def figures_of_settings():
    """Name the figures that this study has something to draw in, of those that not all have."""
    settings = {
        "11_edit_grid": STUDY.has_edit_grid,
        "12_key_scaling": STUDY.rows_of_kind("scale_keys"),
        "21_token_probabilities": config["token_probabilities"]["words"],
        "24_samples": STUDY.sampled_entries,
    }
    return [figure for figure, has_data in settings.items() if has_data]


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
