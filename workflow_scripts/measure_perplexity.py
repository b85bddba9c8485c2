"""Measure the perplexity of held-out text under an intervention."""

import argparse
import json
from pathlib import Path

from dpo_neurons.datasets import read_dataset
from dpo_neurons.output_files import whole_file
from dpo_neurons.plans import read_plan
from dpo_neurons.program import log, model_arguments, obey_threads, run_program


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--plan-positions", required=True, choices=("all", "first"))
    parser.add_argument("--text", type=Path, required=True, help="JSON lines with the key text")
    parser.add_argument("--window", type=int, required=True, help="tokens a window")
    model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints import load_model, load_tokenizer
    from dpo_neurons.devices import leased_device
    from dpo_neurons.interventions import applied
    from dpo_neurons.perplexity import measure_perplexity

    texts = [row["text"] for row in read_dataset(arguments.text, "perplexity_text")]
    plan = read_plan(arguments.plan)
    tokenizer = load_tokenizer(arguments.checkpoint)
    with leased_device(arguments.device) as device:
        model = load_model(arguments.checkpoint, arguments.dtype, device)
        with applied(model, plan, arguments.plan_positions):
            measured = measure_perplexity(
                model, tokenizer, texts, arguments.window, arguments.batch_size
            )
    result = {
        "perplexity": measured.perplexity,
        "log_perplexity": measured.log_perplexity,
        "tokens": int(measured.tokens.sum()),
        "positions": arguments.plan_positions,
        "window_losses": measured.losses.tolist(),
        "window_tokens": measured.tokens.tolist(),
    }
    with whole_file(arguments.output) as partial:
        partial.write_text(json.dumps(result) + "\n", encoding="utf-8")
    log.info("perplexity %.4f over %d tokens", result["perplexity"], result["tokens"])


if __name__ == "__main__":
    run_program(main)
