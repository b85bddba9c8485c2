"""Direct preference optimisation, with v3's penalty on leaving the first model."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from trl import DPOTrainer


class PenalisedDPOTrainer(DPOTrainer):
    """trl's DPOTrainer with a KL term: loss = DPO + kl_weight · KL(reference ‖ policy).

    The divergence is that of the distributions over the next token, averaged over all tokens of
    both answers. It costs a forward pass more of each model.
    """

    def __init__(self, *args: Any, kl_weight: float, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **named)
        self.kl_weight = kl_weight

    def compute_loss(
        self,
        model: PreTrainedModel,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Tensor:
        """Loss of a batch, whose first half are preferred answers and second half rejected ones."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.kl_weight == 0:
            return loss
        answered = inputs["completion_mask"][:, 1:].bool()
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        policy = model(**read, use_cache=False).logits[:, :-1][answered]
        with torch.no_grad():
            reference = self.ref_model(**read, use_cache=False).logits[:, :-1][answered]
        return loss + self.kl_weight * mean_divergence(reference, policy)


def mean_divergence(reference: Tensor, policy: Tensor) -> Tensor:
    """Mean over tokens of KL(reference ‖ policy) in nats; both are logits, (tokens, vocabulary)."""
    wanted, given = (functional.log_softmax(one.float(), dim=-1) for one in (reference, policy))
    return functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
