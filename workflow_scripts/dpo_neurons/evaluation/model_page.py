"""The page of one model: findings, tables to sort and search, texts side by side."""

import html
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import itables
import jinja2
import numpy as np
import pandas as pd
from itables import to_html_datatable
from itables.javascript import generate_init_offline_itables_html

from dpo_neurons.evaluation.findings import Finding
from dpo_neurons.evaluation.intervention_table import format_with_interval
from dpo_neurons.evaluation.layer_map import map_layers
from dpo_neurons.files.json_text import script_json
from dpo_neurons.neurons.groups import GROUPS
from dpo_neurons.neurons.largest_neurons import SAMPLED_PROMPTS
from dpo_neurons.scorers.lexicon import split_at_words

SHOWN_PROMPTS = 30
"""Prompts whose continuations are on the page."""
BAR_WIDTH = 120
"""Width of the bar of an interval, in pixels."""
NEURON_COLUMNS = (
    "rank", "layer", "neuron", "group", "reduction", "cosine", "activation_pre", "activation_post",
    "from_value", "from_key", "from_inputs", "from_text",
)  # fmt: skip


def interventions_for_reading(
    table: pd.DataFrame, verdicts: pd.DataFrame, random_sets: pd.DataFrame
) -> pd.DataFrame:
    """Lay out the interventions as cells of HTML, every text escaped.

    A control comes below its row. Bars of intervals end where those of the rows whose model still
    writes do. A row whose model no longer writes is marked, so that the page can grey it.
    """
    verdict = verdicts.set_index("intervention")["verdict"]
    rank = random_sets.set_index("intervention")["p"]
    writing = table[~table["no_longer_writes"].astype(bool)]
    widest = {
        measure: float(np.nanmax(writing[f"{measure}_high"].to_numpy(dtype=float), initial=1e-9))
        for measure in ("toxicity", "perplexity")
    }
    lines = []
    for row in put_controls_below(table).itertuples():
        name = html.escape(str(row.intervention))
        share = row.effect_share
        lines.append(
            {
                "intervention": _mark_name(name, bool(row.control_of), row.no_longer_writes),
                "control of": html.escape(str(row.control_of)),
                "groups": html.escape(str(row.groups)),
                "neurons": row.neurons,
                "toxicity": f"{row.toxicity:.3f}",
                "toxicity interval": draw_interval(
                    row.toxicity, row.toxicity_low, row.toxicity_high, widest["toxicity"], 3
                ),
                "perplexity": f"{row.perplexity:.2f}",
                "perplexity interval": draw_interval(
                    row.perplexity,
                    row.perplexity_low,
                    row.perplexity_high,
                    widest["perplexity"],
                    2,
                ),
                "tokens": f"{row.tokens:.1f}",
                "share of dpo": f"{share:.2f}" if np.isfinite(share) else "",
                "p among random sets": f"{rank[row.intervention]:.3f}"
                if row.intervention in rank.index
                else "",
                "verdict": html.escape(str(verdict.get(row.intervention, ""))),
            }
        )
    return pd.DataFrame(lines)


def put_controls_below(table: pd.DataFrame) -> pd.DataFrame:
    """Put each control below its row; the order of all other rows stays."""
    names = table["intervention"].tolist()
    controlled = table["control_of"].where(table["control_of"].isin(names), table["intervention"])
    order = pd.DataFrame(
        {"row": controlled.map(names.index), "below": controlled != table["intervention"]}
    )
    return table.loc[order.sort_values(["row", "below"], kind="stable").index]


def _mark_name(name: str, is_control: bool, broken: bool) -> str:
    """Mark the name of a control, and of a row whose model no longer writes."""
    marked = f'<s class="broken">{name}</s>' if broken else name
    return f'<span class="control">{marked}</span>' if is_control else marked


def draw_interval(value: float, low: float, high: float, widest: float, digits: int) -> str:
    """Draw a number and its interval as a small picture, SVG, from 0 to `widest`.

    What lies beyond is cut off. digits: decimals of the picture's text.
    """
    left, right, middle = (
        round(BAR_WIDTH * min(max(bound, 0.0), widest) / widest, 1) if np.isfinite(bound) else 0.0
        for bound in (low, high, value)
    )
    told = html.escape(format_with_interval(value, low, high, digits))
    return (
        f'<svg width="{BAR_WIDTH + 8}" height="12" role="img" aria-label="{told}">'
        f"<title>{told}</title>"
        f'<line x1="{left + 4}" x2="{right + 4}" y1="6" y2="6" stroke="#888" stroke-width="3"/>'
        f'<circle cx="{middle + 4}" cy="6" r="4" fill="#00588F"/></svg>'
    )


def neurons_for_reading(
    contributions: pd.DataFrame, decomposed: pd.DataFrame, largest: pd.DataFrame
) -> pd.DataFrame:
    """Join the NEURON_COLUMNS of the largest neurons, in order of rank."""
    neuron = ["layer", "neuron"]
    shown = (
        contributions.merge(largest[neuron], on=neuron)
        .merge(decomposed[[*neuron, *NEURON_COLUMNS[-4:]]], on=neuron)
        .sort_values("rank", ignore_index=True)[list(NEURON_COLUMNS)]
    )
    for column in shown.select_dtypes("floating"):
        shown[column] = shown[column].map("{:z.4g}".format).astype(float)
    return shown


def texts_for_reading(
    texts: Mapping[str, Sequence[str]],
    scores: Mapping[str, Sequence[float]],
    prompts: list[str],
    words: Collection[str],
) -> str:
    """Write prompts and each row's continuations with their scores as JSON for a script element.

    Prompts are those whose scores differ most between rows, at most SHOWN_PROMPTS. Continuations
    are in the pieces of `split_at_words`. words: what a lexicon scorer finds; empty for others.
    """
    spread = np.ptp(np.array([scores[name] for name in texts], dtype=float), axis=0)
    chosen = np.argsort(-spread, kind="stable")[:SHOWN_PROMPTS].tolist()
    content = {
        "prompts": [prompts[at] for at in chosen],
        "rows": {
            name: [
                [split_at_words(written[at], words), round(float(scores[name][at]), 3)]
                for at in chosen
            ]
            for name, written in texts.items()
        },
    }
    return script_json(content)


def render_page(
    template: Path,
    model: str,
    findings: Sequence[Finding],
    interventions: pd.DataFrame,
    layer_groups: pd.DataFrame,
    neurons: pd.DataFrame,
    sources: pd.DataFrame,
    texts: str,
    panels: str,
) -> str:
    """Render the page: self-contained, with no request to any network.

    interventions, neurons, texts: of the functions `…_for_reading`. layer_groups: of `map_layers`.
    panels: of `panels_as_json`. template: a file, with neuron_panel.js in its folder.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    bundle = Path(itables.__file__).parent / "html/dt_bundle.js"
    shared: dict[str, Any] = {
        "connected": False,
        "showIndex": False,
        "display_logo_when_loading": False,
    }
    pictures = [number for number, name in enumerate(interventions) if "interval" in name]
    tables = {
        "interventions": to_html_datatable(
            interventions, table_id="interventions", allow_html=True, paging=False, order=[],
            scrollX=True, classes="display compact",
            columnDefs=[{"targets": pictures, "orderable": False}], **shared,
        ),
        "neurons": to_html_datatable(
            neurons, table_id="neurons", allow_html=False, pageLength=15, lengthMenu=[15, 50, 200],
            order=[], maxBytes=0, classes="display compact", **shared,
        ),
        "sources": to_html_datatable(
            sources, table_id="sources", allow_html=False, paging=False, order=[], scrollX=True,
            classes="display compact", **shared,
        ),
    }  # fmt: skip
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        model=model,
        findings=findings,
        shown_prompts=SHOWN_PROMPTS,
        script=generate_init_offline_itables_html(bundle),
        tables=tables,
        groups=GROUPS,
        layers=map_layers(layer_groups),
        texts=texts,
        panels=panels,
        panel_script=template.with_name("neuron_panel.js").read_text(encoding="utf-8"),
        sampled_prompts=SAMPLED_PROMPTS,
    )
