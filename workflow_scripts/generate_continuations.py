"""Continue prompts greedily under an intervention."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.datasets import read_dataset
from dpo_neurons.jsonl import write_jsonl
from dpo_neurons.plans import read_plan
from dpo_neurons.program import model_arguments, obey_threads, run_program

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from dpo_neurons.generation import Continuations

DATASETS = ("challenge_prompts", "reference_sentences")


def continuation_rows(
    prompts: list[str], batch: "Continuations", tokenizer: "PreTrainedTokenizerBase"
) -> list[dict[str, object]]:
    """A row a prompt of the batch: the prompt, the continuation's text, and its token ids."""
    rows = []
    for offset, (ids, mask) in enumerate(zip(batch.tokens, batch.mask, strict=True)):
        tokens = ids[mask].tolist()
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        prompt = prompts[batch.start + offset]
        rows.append({"prompt": prompt, "continuation": text, "tokens": tokens})
    return rows


def main() -> None:
    """Parse, generate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--plan-positions", required=True, choices=("last", "all"))
    for dataset in DATASETS:
        option = dataset.replace("_", "-")
        parser.add_argument(f"--{option}", type=Path, required=True, help="JSON lines")
        parser.add_argument(f"--{option}-output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    model_arguments(parser)
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints import load_model, load_tokenizer
    from dpo_neurons.devices import leased_device
    from dpo_neurons.generation import generate_greedily
    from dpo_neurons.interventions import applied

    paths = vars(arguments)
    prompts = {
        name: [row["prompt"] for row in read_dataset(paths[name], name)] for name in DATASETS
    }
    plan = read_plan(arguments.plan)
    tokenizer = load_tokenizer(arguments.checkpoint)
    rows = {name: [] for name in DATASETS}
    with leased_device(arguments.device) as device:
        model = load_model(arguments.checkpoint, arguments.dtype, device)
        with applied(model, plan, arguments.plan_positions):
            for name, texts in prompts.items():
                for batch in generate_greedily(
                    model, tokenizer, texts, arguments.tokens, arguments.batch_size
                ):
                    rows[name] += continuation_rows(texts, batch, tokenizer)
    for name in DATASETS:
        write_jsonl(paths[f"{name}_output"], rows[name])


if __name__ == "__main__":
    run_program(main)
