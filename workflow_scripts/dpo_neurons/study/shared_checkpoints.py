"""Checkpoints of kind `same_as`: a model's checkpoint that is also another model's."""

from dpo_neurons.errors import InputError
from dpo_neurons.study.schema import nearest
from dpo_neurons.study.study import TUNED_HERE, Study

MADE_FROM_PRE = (*TUNED_HERE, "adapter", "state_dict")
"""Kinds of second checkpoints that are made from the first checkpoint of their model."""


def check_shared_checkpoints(study: Study, source: str) -> None:
    """Check that each checkpoint of kind `same_as` leads to one that is given or made.

    source: the file that the configuration was read from.
    Raises InputError for the name of no model, and for checkpoints that go round in a circle.
    """
    models = study.config["models"]
    shared = {
        checkpoint: f"{source}: models.{checkpoint.replace('/', '.')}"
        for checkpoint in study.checkpoints_of_kind("same_as")
    }
    for checkpoint, place in shared.items():
        name = study.checkpoint(checkpoint)["model"]
        if name not in models:
            remedy = nearest(name, models) or "; give one that is"
            raise InputError(
                f"{place}.model: {name!r} is not one of the models ({', '.join(models)}){remedy}"
            )
    for checkpoint, place in shared.items():
        path = [checkpoint]
        while (origin := _origin(study, path[-1])) is not None:
            if origin in path:
                raise InputError(
                    f"{place}: goes round in a circle ({' from '.join([*path, origin])}); give one "
                    "of these another kind"
                )
            path.append(origin)


def _origin(study: Study, checkpoint: str) -> str | None:
    """Name the checkpoint, as model/stage, that another one is or is made from."""
    settings = study.checkpoint(checkpoint)
    model, stage = checkpoint.split("/")
    if settings["kind"] == "same_as":
        return study.shared_checkpoint(checkpoint)
    return f"{model}/pre" if stage == "post" and settings["kind"] in MADE_FROM_PRE else None
