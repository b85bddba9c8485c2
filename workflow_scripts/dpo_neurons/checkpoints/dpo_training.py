"""Direct preference optimisation (DPO), with v3's KL penalty.

DPO as Lee et al. 2024 (arXiv 2401.01967) use it. The settings of Yang et al. (arXiv 2411.06424v3)
add a KL term with a weight of 0.05 to 0.1, which Lee et al. and v1 do not have.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from trl.trainer.dpo_trainer import DPOTrainer


class PenalisedDPOTrainer(DPOTrainer):
    """trl's DPOTrainer with a loss of its own.

    The loss is that of DPO, `preference_margins` below the sigmoid, + kl_weight · KL(reference ‖
    policy). The divergence is that of the distributions over the next token, averaged over all
    tokens of both answers. trl's own loss is the same without the divergence, but it converts to
    float32.
    """

    def __init__(self, *args: Any, kl_weight: float, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **named)
        self.kl_weight = kl_weight
        self._last_margin = 0.0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch: first all its chosen answers, then the rejected ones."""
        is_answer = inputs["completion_mask"][:, 1:].bool()
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        policy = log_distributions(model(**batch, use_cache=False).logits[:, :-1][is_answer])
        reference_model: Any = self.ref_model
        with torch.no_grad():
            logits = reference_model(**batch, use_cache=False).logits[:, :-1][is_answer]
            reference = log_distributions(logits)
        margins = self.beta * preference_margins(
            policy, reference, inputs["input_ids"][:, 1:][is_answer], is_answer
        )
        self._last_margin = margins.mean().item()
        loss = -functional.logsigmoid(margins).mean()
        if self.kl_weight:
            loss = loss + self.kl_weight * mean_divergence(reference, policy)
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the margin between the rewards of chosen and rejected answers to a step's log."""
        dpo_trainer: Any = super()
        dpo_trainer.log({**logs, "rewards/margins": self._last_margin}, start_time)


def log_distributions(logits: Tensor) -> Tensor:
    """Log-probabilities of the next token, (n_tokens, vocabulary), in float32 or wider."""
    return functional.log_softmax(
        logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1
    )


def preference_margins(
    policy: Tensor, reference: Tensor, tokens: Tensor, is_answer: Tensor
) -> Tensor:
    """By how much more the policy than the reference prefers each chosen answer, in nats: (pairs,).

    It is the difference of log π(y)/π_ref(y) between chosen and rejected answer y, to which DPO
    applies β and the sigmoid.
    policy, reference: log-probabilities, (n_tokens, vocabulary), of the tokens, (n_tokens,), of all
    answers. is_answer: (2 · pairs, length), where they stand; chosen answers first.
    """
    gathered = [states.gather(-1, tokens[:, None])[:, 0] for states in (policy, reference)]
    ratios = (
        gathered[0].new_zeros(is_answer.shape).masked_scatter(is_answer, gathered[0] - gathered[1])
    )
    chosen, rejected = ratios.sum(dim=1).chunk(2)
    return chosen - rejected


def mean_divergence(reference: Tensor, policy: Tensor) -> Tensor:
    """Mean over tokens of KL(reference ‖ policy) in nats.

    reference, policy: log-probabilities, (n_tokens, vocabulary).
    """
    return functional.kl_div(policy, reference, reduction="batchmean", log_target=True)
