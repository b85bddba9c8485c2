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
    """trl's DPOTrainer with a KL term.

    The loss is that of DPO + kl_weight · KL(reference ‖ policy). The divergence is that of the
    distributions over the next token, averaged over all tokens of both answers. It takes one more
    forward pass of each model.
    """

    def __init__(self, *args: Any, kl_weight: float, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **named)
        self.kl_weight = kl_weight

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Loss of a batch: first all its chosen answers, then the rejected ones."""
        dpo_trainer: Any = super()
        loss: Tensor = dpo_trainer.compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.kl_weight == 0:
            return loss
        is_answer = inputs["completion_mask"][:, 1:].bool()
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        policy = model(**batch, use_cache=False).logits[:, :-1][is_answer]
        reference_model: Any = self.ref_model
        with torch.no_grad():
            reference = reference_model(**batch, use_cache=False).logits[:, :-1][is_answer]
        return loss + self.kl_weight * mean_divergence(reference, policy)


def mean_divergence(reference: Tensor, policy: Tensor) -> Tensor:
    """Mean over tokens of KL(reference ‖ policy) in nats.

    reference, policy: logits, (n_tokens, vocabulary).
    """
    log_reference = functional.log_softmax(reference.float(), dim=-1)
    log_policy = functional.log_softmax(policy.float(), dim=-1)
    return functional.kl_div(log_policy, log_reference, reduction="batchmean", log_target=True)
