"""Direct preference optimisation (DPO) and objectives like it, with v3's KL penalty.

DPO as Lee et al. 2024 (arXiv 2401.01967) use it. The settings of Yang et al. (arXiv 2411.06424v3)
add a KL term with a weight of 0.05 to 0.1, which Lee et al. and v1 do not have.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import TrainerCallback, TrainerState
from trl.trainer.dpo_trainer import DPOTrainer

from dpo_neurons.checkpoints.objectives import Objective
from dpo_neurons.checkpoints.pair_readings import PairReadings, exchange_answers, read_pairs
from dpo_neurons.checkpoints.rewards import RewardLog, reward_pairs


class PenalisedDPOTrainer(DPOTrainer):
    """trl's DPOTrainer with losses of its own, and a log of the rewards.

    The loss is that of the objective, + kl_weight · KL(reference ‖ policy). The divergence is that
    of the distributions over the next token, averaged over all tokens of both answers. trl's own
    losses are the same without the divergence, but it converts to float32, has another trainer for
    KTO, ORPO and SimPO each, and measures other quantities with each.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        objective: Objective,
        kl_weight: float,
        **named: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **named)
        self.objective: Objective = objective
        self.kl_weight = kl_weight
        self.rewards = RewardLog()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch: first all its chosen answers, then the rejected ones."""
        readings, policy, reference = self._read(model, inputs)
        loss = self.objective.losses(readings).mean()
        if self.kl_weight:
            loss = loss + self.kl_weight * mean_divergence(reference, policy)
        rewards = reward_pairs(self.objective, readings)
        self.rewards.add(self.state.global_step + 1, "tuned", [rewards])
        return (loss, {}) if return_outputs else loss

    def measure_held_out(self) -> None:
        """Log the rewards of the held-out pairs after the steps made so far."""
        model: Any = self.model
        was_training = model.training
        model.eval()
        with torch.no_grad():
            rewards = [
                reward_pairs(self.objective, self._read(model, self._prepare_inputs(batch))[0])
                for batch in self.get_eval_dataloader()
            ]
        model.train(was_training)
        self.rewards.add(self.state.global_step, "held_out", rewards)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the margin between the rewards of chosen and rejected answers to a step's log."""
        dpo_trainer: Any = super()
        dpo_trainer.log({**logs, "rewards/margins": self.rewards.last_margin}, start_time)

    def _read(
        self, model: nn.Module, inputs: dict[str, Tensor | Any]
    ) -> tuple[PairReadings, Tensor, Tensor]:
        """Read a batch of pairs, and what both models predict at the answers' tokens.

        The predictions, policy and reference, are log-probabilities, (n_tokens, vocabulary). They
        are large, so the caller keeps them for one batch at most.
        """
        policy, reference, tokens, is_answer = self._predict(model, inputs)
        readings = read_pairs(policy, reference, tokens, is_answer)
        if self.objective.needs_drift:
            readings = replace(readings, drift=self._measure_drift(model, inputs))
        return readings, policy, reference

    def _predict(
        self, model: nn.Module, inputs: dict[str, Tensor | Any]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what both models predict at the answers' tokens, these, and where they stand."""
        is_answer = inputs["completion_mask"][:, 1:].bool()
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        policy = log_distributions(model(**batch, use_cache=False).logits[:, :-1][is_answer])
        reference_model: Any = self.ref_model
        with torch.no_grad():
            logits = reference_model(**batch, use_cache=False).logits[:, :-1][is_answer]
            reference = log_distributions(logits)
        return policy, reference, inputs["input_ids"][:, 1:][is_answer], is_answer

    def _measure_drift(self, model: nn.Module, inputs: dict[str, Tensor | Any]) -> Tensor:
        """Return the mean log-ratio of the batch's answers, each to the prompt of another pair.

        A batch of one pair, such as the last one of an epoch, has no other prompt: it returns 0.
        """
        settings: Any = self.args
        if len(inputs["input_ids"]) == 2:
            return torch.zeros((), device=inputs["input_ids"].device)
        exchanged = exchange_answers(inputs, settings.max_length)
        with torch.no_grad():
            readings = read_pairs(*self._predict(model, exchanged))
        return torch.cat([readings.chosen.log_ratio, readings.rejected.log_ratio]).mean()


class HeldOutMeasurement(TrainerCallback):
    """Has the held-out pairs measured before the first step and after each fifth of them."""

    def __init__(self, trainer: PenalisedDPOTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: object, state: object, control: object, **named: object) -> None:
        """Measure before the first step."""
        self._trainer.measure_held_out()

    def on_step_end(
        self, args: object, state: TrainerState, control: object, **named: object
    ) -> None:
        """Measure after each fifth of the steps."""
        step, steps = state.global_step, state.max_steps
        if step * 5 // steps > (step - 1) * 5 // steps:
            self._trainer.measure_held_out()


def log_distributions(logits: Tensor) -> Tensor:
    """Log-probabilities of the next token, (n_tokens, vocabulary), in float32 or wider."""
    return functional.log_softmax(
        logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1
    )


def mean_divergence(reference: Tensor, policy: Tensor) -> Tensor:
    """Mean over tokens of KL(reference ‖ policy) in nats.

    reference, policy: log-probabilities, (n_tokens, vocabulary).
    """
    return functional.kl_div(policy, reference, reduction="batchmean", log_target=True)
