"""Run a model under an intervention: continue prompts, measure perplexity.

All three share one load of the model, because the load takes longest on a small model.
"""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.interventions.plans import read_plan
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    log,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset

PROMPTS = ("challenge_prompts", "reference_sentences")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    for name in PROMPTS:
        option = name.replace("_", "-")
        parser.add_argument(f"--{option}", type=Path, required=True, help="JSON lines")
        parser.add_argument(f"--{option}-output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument(
        "--generation-positions",
        required=True,
        choices=("last", "all"),
        help="where the plan acts in each forward pass of generation",
    )
    parser.add_argument("--perplexity-text", type=Path, required=True, help="JSON lines")
    parser.add_argument("--perplexity-output", type=Path, required=True, help="JSON")
    parser.add_argument("--window", type=int, required=True, help="tokens per window of text")
    parser.add_argument(
        "--perplexity-positions",
        required=True,
        choices=("all", "first"),
        help="where the plan acts in each window",
    )
    parser.add_argument("--direction", type=Path, help="safetensors, for plans that need it")
    source = parser.add_argument_group("plans that assign each prompt its own activations")
    source.add_argument("--source-checkpoint", type=Path, help="checkpoint to read them from")
    source.add_argument("--source-positions", default="generated", help="generated or predicting")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Parse, generate, measure, write."""
    arguments = parse_arguments()
    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.interventions.hooks import apply_plan
    from dpo_neurons.interventions.operations import SourceOperation, list_operations
    from dpo_neurons.interventions.outputs import (
        continue_prompts,
        describe_perplexity,
        name_broken_intervention,
    )
    from dpo_neurons.interventions.source_activations import SourceActivations
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.models.perplexity import measure_perplexity
    from dpo_neurons.running.devices import lease_devices

    paths = vars(arguments)
    prompts = {name: [row["prompt"] for row in read_dataset(paths[name], name)] for name in PROMPTS}
    texts = [row["text"] for row in read_dataset(arguments.perplexity_text, "perplexity_text")]
    plan = read_plan(arguments.plan)
    pair = read_pair(arguments.pair)
    direction = read_direction(arguments.direction) if arguments.direction else None
    tokenizer = load_tokenizer(arguments.tokenizer)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        run_as = (arguments.dtype, devices, arguments.attention)
        model = load_model(arguments.checkpoint, *run_as)
        apply_pair(model, pair)
        batch_size = first_batch_size(arguments.batch_size, model.device)
        source = None
        if set(plan["operation"]) & set(list_operations(SourceOperation)):
            source_model = load_model(arguments.source_checkpoint, *run_as)
            apply_pair(source_model, pair)
            source = SourceActivations(
                source_model, plan, arguments.tokens, arguments.source_positions
            )
        named = name_broken_intervention(arguments.plan.stem, plan, arguments.dtype)
        with named, apply_plan(model, plan, arguments.generation_positions, direction, source):
            rows = {
                name: continue_prompts(
                    model, tokenizer, texts_of_set, arguments.tokens, batch_size, source
                )
                for name, texts_of_set in prompts.items()
            }
        named = name_broken_intervention(arguments.plan.stem, plan, arguments.dtype)
        with named, apply_plan(model, plan, arguments.perplexity_positions, direction, source):
            measured = measure_perplexity(
                model,
                tokenizer,
                texts,
                arguments.window,
                batch_size,
                before=source.see_text if source else None,
            )
    for name in PROMPTS:
        write_jsonl(paths[f"{name}_output"], rows[name])
    entry = describe_perplexity(measured, arguments.perplexity_positions)
    write_checked_json(arguments.perplexity_output, entry)
    log.info("perplexity %.4f over %d tokens", measured.perplexity, measured.tokens.sum())


if __name__ == "__main__":
    run_program(main)
