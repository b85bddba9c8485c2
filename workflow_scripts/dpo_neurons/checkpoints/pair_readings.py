"""What two models say of a batch of preference pairs: all that an objective is computed from."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AnswerReadings:
    """What both models say of the chosen or of the rejected answers of a batch."""

    log_probability: Tensor
    """(pairs,), of the whole answer under the tuned model, in nats."""
    log_ratio: Tensor
    """(pairs,), that minus the same under the first model."""
    tokens: Tensor
    """(pairs,), the answer's length."""

    @property
    def mean_log_probability(self) -> Tensor:
        """(pairs,), under the tuned model, in nats a token."""
        return self.log_probability / self.tokens

    @property
    def mean_log_ratio(self) -> Tensor:
        """(pairs,), in nats a token."""
        return self.log_ratio / self.tokens


@dataclass(frozen=True)
class PairReadings:
    """What both models say of a batch of preference pairs."""

    chosen: AnswerReadings
    rejected: AnswerReadings
    drift: Tensor | None = None
    """A number, the mean log-ratio of answers to other prompts; for the objectives that need it."""


def read_pairs(
    policy: Tensor, reference: Tensor, tokens: Tensor, is_answer: Tensor
) -> PairReadings:
    """Compute the readings of a batch's pairs.

    policy, reference: log-probabilities, (n_tokens, vocabulary), of the tokens, (n_tokens,), of all
    answers. is_answer: (2 · pairs, length), where they stand; chosen answers first.
    """
    gathered = [states.gather(-1, tokens[:, None])[:, 0] for states in (policy, reference)]
    tuned, first = (
        read.new_zeros(is_answer.shape).masked_scatter(is_answer, read) for read in gathered
    )
    parts = (tuned.sum(dim=1), (tuned - first).sum(dim=1), is_answer.sum(dim=1))
    chosen, rejected = zip(*(part.chunk(2) for part in parts), strict=True)
    return PairReadings(AnswerReadings(*chosen), AnswerReadings(*rejected))


def exchange_answers(inputs: dict[str, Tensor], max_tokens: int) -> dict[str, Tensor]:
    """Give each prompt of a batch the answer of the row above it, and the first that of the last.

    inputs: input_ids, attention_mask and completion_mask, each (rows, length). Returns the same,
    cut after max_tokens and padded on the right.
    """
    ids, is_read = inputs["input_ids"], inputs["attention_mask"].bool()
    is_answer = inputs["completion_mask"].bool()
    prompts = [
        row[read & ~answer] for row, read, answer in zip(ids, is_read, is_answer, strict=True)
    ]
    answers = [row[answer] for row, answer in zip(ids, is_answer, strict=True)]
    answers = [answers[-1], *answers[:-1]]
    rows = [torch.cat(parts)[:max_tokens] for parts in zip(prompts, answers, strict=True)]
    places = torch.arange(max(map(len, rows)), device=ids.device)
    ends = torch.tensor([len(row) for row in rows], device=ids.device)[:, None]
    begins = torch.tensor([len(prompt) for prompt in prompts], device=ids.device)[:, None]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return {
        "input_ids": padded,
        "attention_mask": (places < ends).long(),
        "completion_mask": ((places >= begins) & (places < ends)).long(),
    }
