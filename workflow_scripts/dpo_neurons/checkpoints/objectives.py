"""The objectives that a model is tuned for on preference pairs: losses, and implied rewards.

In the formulas below, w is the chosen answer and l the rejected one. log π is the log-probability
of a whole answer under the tuned model, r = log π - log π_ref that minus the first model's, and |y|
the answer's tokens. σ is the logistic function, β, γ, ε and λ are settings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dpo_neurons.checkpoints.pair_readings import AnswerReadings, PairReadings

WITHOUT_REFERENCE = ("orpo", "simpo")
"""Losses that do not depend on the first model."""


@dataclass(frozen=True)
class Objective:
    """A loss, by its name in LOSSES, and its settings."""

    loss: str
    beta: float
    label_smoothing: float = 0.0
    """Share of pairs whose answers are taken to be exchanged, ε."""
    gamma: float = 0.0
    """Margin of rewards that is aimed at."""
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    def losses(self, pairs: PairReadings) -> Tensor:
        """Compute the loss of each pair of a batch, (pairs,); their mean is minimised."""
        return LOSSES[self.loss](pairs, self)

    def rewards(self, answers: AnswerReadings) -> Tensor:
        """Compute the reward that the objective implies for each answer, (answers,).

        It is β · r, which is 0 for the first model. Of an objective without reference it is
        β · log π / |y|.
        """
        if self.loss in WITHOUT_REFERENCE:
            return self.beta * answers.mean_log_probability
        return self.beta * answers.log_ratio

    @property
    def needs_drift(self) -> bool:
        """Whether the loss compares with answers to other prompts."""
        return self.loss == "kto"


def _margin(pairs: PairReadings, objective: Objective) -> Tensor:
    return objective.beta * (pairs.chosen.log_ratio - pairs.rejected.log_ratio)


def _sigmoid(pairs: PairReadings, objective: Objective) -> Tensor:
    """DPO: -log σ(β (r_w - r_l)); Rafailov et al. 2023 (arXiv 2305.18290), equation 7."""
    return -logsigmoid(_margin(pairs, objective))


def _sigmoid_norm(pairs: PairReadings, objective: Objective) -> Tensor:
    """DPO a token: -log σ(β (r_w / |w| - r_l / |l|)); Lambert et al. 2024 (arXiv 2411.15124)."""
    return -logsigmoid(
        objective.beta * (pairs.chosen.mean_log_ratio - pairs.rejected.mean_log_ratio)
    )


def _hinge(pairs: PairReadings, objective: Objective) -> Tensor:
    """SLiC's loss on DPO's margin: max(0, 1 - β (r_w - r_l)); Liu et al. 2023 (2309.06657)."""
    return torch.relu(1 - _margin(pairs, objective))


def _ipo(pairs: PairReadings, objective: Objective) -> Tensor:
    """IPO: (r_w / |w| - r_l / |l| - 1 / 2β)²; Azar et al. 2023 (arXiv 2310.12036), equation 17.

    The paper leaves lengths open; trl takes means over tokens, as its authors advised.
    """
    difference = pairs.chosen.mean_log_ratio - pairs.rejected.mean_log_ratio
    return (difference - 1 / (2 * objective.beta)) ** 2


def _robust(pairs: PairReadings, objective: Objective) -> Tensor:
    """DPO, unbiased by exchanged labels; Chowdhury et al. 2024 (arXiv 2403.00409).

    (-(1 - ε) log σ(m) + ε log σ(-m)) / (1 - 2ε), m = β (r_w - r_l).
    """
    margin, share = _margin(pairs, objective), objective.label_smoothing
    losses = -(1 - share) * logsigmoid(margin) + share * logsigmoid(-margin)
    return losses / (1 - 2 * share)


def _exo_pair(pairs: PairReadings, objective: Objective) -> Tensor:
    """EXO: KL((σ(m), σ(-m)) ‖ (1 - ε, ε)); Ji et al. 2024 (arXiv 2402.00856), equation 16."""
    margin, share = _margin(pairs, objective), objective.label_smoothing
    chosen = margin.sigmoid() * (logsigmoid(margin) - math.log1p(-share))
    return chosen + (-margin).sigmoid() * (logsigmoid(-margin) - math.log(share))


def _nca_pair(pairs: PairReadings, objective: Objective) -> Tensor:
    """NCA: -log σ(βr_w) - ½ log σ(-βr_w) - ½ log σ(-βr_l); Chen et al. 2024 (arXiv 2402.05369)."""
    chosen, rejected = (objective.beta * part.log_ratio for part in (pairs.chosen, pairs.rejected))
    return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)


def _bco_pair(pairs: PairReadings, objective: Objective) -> Tensor:
    """BCO without shift: -log σ(βr_w) - log σ(-βr_l); Jung et al. 2024 (arXiv 2404.04656)."""
    chosen, rejected = (objective.beta * part.log_ratio for part in (pairs.chosen, pairs.rejected))
    return -logsigmoid(chosen) - logsigmoid(-rejected)


def _sppo_hard(pairs: PairReadings, objective: Objective) -> Tensor:
    """SPPO: (r_w - 1 / 2β)² + (r_l + 1 / 2β)²; Wu et al. 2024 (arXiv 2405.00675), equation 4.7."""
    aim = 1 / (2 * objective.beta)
    return (pairs.chosen.log_ratio - aim) ** 2 + (pairs.rejected.log_ratio + aim) ** 2


def _smoothed(differences: Tensor, objective: Objective) -> Tensor:
    """-(1 - ε) log σ(βd) - ε log σ(-βd)."""
    scaled, share = objective.beta * differences, objective.label_smoothing
    return -(1 - share) * logsigmoid(scaled) - share * logsigmoid(-scaled)


def _aot(pairs: PairReadings, objective: Objective) -> Tensor:
    """AOT, paired: DPO's loss on sorted ratios; Melnyk et al. 2024 (arXiv 2406.05882).

    log π(w) / π(l) of the tuned and of the first model are each sorted over the batch.
    """
    tuned = pairs.chosen.log_probability - pairs.rejected.log_probability
    first = tuned - (pairs.chosen.log_ratio - pairs.rejected.log_ratio)
    return _smoothed(tuned.sort().values - first.sort().values, objective)


def _aot_unpaired(pairs: PairReadings, objective: Objective) -> Tensor:
    """AOT, unpaired: DPO's loss on r_w and r_l, each sorted over the batch; arXiv 2406.05882."""
    chosen, rejected = (part.log_ratio.sort().values for part in (pairs.chosen, pairs.rejected))
    return _smoothed(chosen - rejected, objective)


def _apo_zero(pairs: PairReadings, objective: Objective) -> Tensor:
    """APO-zero: 1 - σ(βr_w) + σ(βr_l); D'Oosterlinck et al. 2024 (arXiv 2408.06266), equation 7."""
    chosen, rejected = (objective.beta * part.log_ratio for part in (pairs.chosen, pairs.rejected))
    return 1 - chosen.sigmoid() + rejected.sigmoid()


def _apo_down(pairs: PairReadings, objective: Objective) -> Tensor:
    """APO-down: σ(βr_w) + 1 - σ(β (r_w - r_l)); arXiv 2408.06266, equation 8."""
    chosen = (objective.beta * pairs.chosen.log_ratio).sigmoid()
    return chosen + 1 - _margin(pairs, objective).sigmoid()


def _kto(pairs: PairReadings, objective: Objective) -> Tensor:
    """KTO: λ_w (1 - σ(βr_w - βz)) and λ_l (1 - σ(βz - βr_l)); arXiv 2402.01306.

    Ethayarajh et al. 2024. z is the mean r of answers to other prompts, at least 0. A pair's loss
    is the mean of its two answers'.
    """
    assert pairs.drift is not None
    drift = pairs.drift.detach().clamp(min=0)
    chosen = 1 - (objective.beta * (pairs.chosen.log_ratio - drift)).sigmoid()
    rejected = 1 - (objective.beta * (drift - pairs.rejected.log_ratio)).sigmoid()
    return (objective.desirable_weight * chosen + objective.undesirable_weight * rejected) / 2


def _orpo(pairs: PairReadings, objective: Objective) -> Tensor:
    """ORPO: -log π(w) / |w| - β log σ(log-odds(w) - log-odds(l)); arXiv 2403.07691, equation 6.

    Hong et al. 2024; β is the paper's λ. The odds are p / (1 - p), p = exp(log π / |y|).
    """
    chosen, rejected = (part.mean_log_probability for part in (pairs.chosen, pairs.rejected))
    odds = [part - torch.log(-torch.expm1(part)) for part in (chosen, rejected)]
    return -chosen - objective.beta * logsigmoid(odds[0] - odds[1])


def _simpo(pairs: PairReadings, objective: Objective) -> Tensor:
    """SimPO: -log σ(β log π(w) / |w| - β log π(l) / |l| - γ); arXiv 2405.14734, equation 6.

    Meng et al. 2024.
    """
    difference = pairs.chosen.mean_log_probability - pairs.rejected.mean_log_probability
    return -logsigmoid(objective.beta * difference - objective.gamma)


LOSSES: dict[str, Callable[[PairReadings, Objective], Tensor]] = {
    "sigmoid": _sigmoid,
    "sigmoid_norm": _sigmoid_norm,
    "hinge": _hinge,
    "ipo": _ipo,
    "robust": _robust,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "bco_pair": _bco_pair,
    "sppo_hard": _sppo_hard,
    "aot": _aot,
    "aot_unpaired": _aot_unpaired,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "kto": _kto,
    "orpo": _orpo,
    "simpo": _simpo,
}
"""The losses by name. All but the last three are those of trl's DPO, under trl's names."""
