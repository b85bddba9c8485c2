"""Write a checkpoint with a row's change folded into its weights, with a card that says so."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.plans import empty_plan, read_plans
from dpo_neurons.running.program import log, run_program

CARD = """---
tags: [dpo-neurons]
---

# {model}: {intervention}

The {stage} checkpoint of the model `{model}` with the change of the row `{intervention}` folded
into its weights by dpo-neurons. {changes} At every position of a text it does what the row does
where the row acts. A row that acts at the newest token alone (`generation.positions: last`) leaves
a prompt's earlier tokens as they are; this checkpoint does not.

Made from `{origin}`. Its tokenizer and decoding defaults are those of that checkpoint.
"""


def main() -> None:
    """Parse, load, fold, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's name, for the card")
    parser.add_argument("--stage", required=True, choices=("pre", "post"), help="for the card")
    parser.add_argument("--intervention", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="the checkpoint's origin, JSON")
    parser.add_argument("--plans", type=Path, required=True, help="of the row's entry, parquet")
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    parser.add_argument("--donor", type=Path, help="the other checkpoint, to put its weights in")
    parser.add_argument("--dtype", required=True, help="of the weights")
    parser.add_argument("--output", type=Path, required=True, help="directory")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    from dpo_neurons.checkpoints.saving import files_and_revision, write_checkpoint
    from dpo_neurons.files.provenance import read_source, write_source
    from dpo_neurons.interventions.transplants import WeightDonor
    from dpo_neurons.interventions.weight_folding import fold_plan
    from dpo_neurons.models.loading import load_trainable_model

    plan = read_plans(arguments.plans).get(arguments.intervention, empty_plan())
    direction = read_direction(arguments.direction) if arguments.direction else None
    model = load_trainable_model(arguments.checkpoint, arguments.dtype)
    donor = None
    if arguments.donor:
        donor = WeightDonor(load_trainable_model(arguments.donor, arguments.dtype))
    try:
        fold_plan(model, plan, direction, donor)
    except InputError as error:
        raise InputError(f"interventions: row {arguments.intervention}: {error}") from None
    origin = read_source(arguments.source)["revision"]
    counts = plan["operation"].value_counts()
    changes = ", ".join(f"{name} on {count:,}" for name, count in counts.items()) or "none"
    card = CARD.format(
        model=arguments.model,
        intervention=arguments.intervention,
        stage={"pre": "first", "post": "second"}[arguments.stage],
        changes=f"Changes: {changes}.",
        origin=origin,
    )
    write_checkpoint(model, arguments.checkpoint, arguments.output, card)
    facts = {"kind": "export", "intervention": arguments.intervention, "of": origin}
    write_source(arguments.source_output, {**facts, **files_and_revision(arguments.output)})
    log.info("%d changes folded into %s", len(plan), arguments.output)


if __name__ == "__main__":
    run_program(main)
