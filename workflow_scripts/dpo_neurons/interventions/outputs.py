"""What is kept of a model that ran under an intervention: its continuations and its perplexity."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.models.batches import order_longest_first
from dpo_neurons.models.decoding import TokenObserver, generate_greedily
from dpo_neurons.models.perplexity import Perplexity
from dpo_neurons.models.tokenization import count_tokens

Row = dict[str, object]


def continue_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: int,
    observer: TokenObserver | None = None,
) -> list[Row]:
    """Continue prompts greedily: a row a prompt, in order, with prompt, continuation and tokens.

    Prompts of like length share batches. tokens: ids before the end of the sequence.
    Raises InputError for a prompt too long for the model.
    """
    order = order_longest_first(count_tokens(tokenizer, prompts))
    ordered = [prompts[index] for index in order]
    rows: list[Row] = []
    for batch in generate_greedily(model, tokenizer, ordered, n_tokens, batch_size, observer):
        for offset, (ids, mask) in enumerate(zip(batch.tokens, batch.mask, strict=True)):
            tokens = ids[mask].tolist()
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            prompt = ordered[batch.start + offset]
            rows.append({"prompt": prompt, "continuation": text, "tokens": tokens})
    return [rows[place] for place in np.argsort(order)]


def describe_perplexity(measured: Perplexity, positions: str) -> Row:
    """Describe a perplexity by its figures, and the windows' losses for intervals.

    positions: where the plan acted in each window.
    """
    return {
        "perplexity": measured.perplexity,
        "log_perplexity": measured.log_perplexity,
        "tokens": int(measured.tokens.sum()),
        "positions": positions,
        "window_losses": measured.losses.tolist(),
        "window_tokens": measured.tokens.tolist(),
    }
