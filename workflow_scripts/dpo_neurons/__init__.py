"""Which MLP neurons moved a model along a direction when it was fine-tuned.

The front door for notebooks: open_study for a finished study; load_model, load_pair and
compute_contributions for checkpoints; make_plan, select_groups and select_by_cosine for own
interventions; score_by_lexicon for texts. Each is imported when it is first used, so that the
workflow, which imports this package too, loads nothing for it.
"""

from typing import Any

__all__ = [
    "compute_contributions",
    "load_model",
    "load_pair",
    "make_plan",
    "open_study",
    "score_by_lexicon",
    "select_by_cosine",
    "select_groups",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a function of the front door when it is first used."""
    if name in ("load_model", "load_pair", "compute_contributions"):
        from dpo_neurons.notebook import model

        return getattr(model, name)
    if name == "open_study":
        from dpo_neurons.notebook.study_results import open_study

        return open_study
    if name == "make_plan":
        from dpo_neurons.interventions.plans import make_plan

        return make_plan
    if name in ("select_groups", "select_by_cosine"):
        from dpo_neurons.interventions import neuron_selection

        return getattr(neuron_selection, name)
    if name == "score_by_lexicon":
        from dpo_neurons.scorers.lexicon import score_by_lexicon

        return score_by_lexicon
    raise AttributeError(f"module 'dpo_neurons' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the front door beside what is loaded."""
    return sorted({*globals(), *__all__})
