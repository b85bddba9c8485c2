"""Guard models that the field uses: how their judgement of an answer is asked for and read.

WildGuard is not among them: before its judgement of the answer it replies to two other questions.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KnownGuard:
    """How to ask a guard model, and how to read its score."""

    scored_token: str
    """The token whose probability is the score."""
    other_token: str
    """The token that says the opposite."""
    answer_start: str = ""
    """What the model writes before either token, whatever it finds."""
    template_settings: dict[str, Any] = field(default_factory=dict)
    """Variables of its chat template."""
    needed_settings: tuple[str, ...] = ()
    """Variables of its chat template that only the user can give."""


_LLAMA_GUARD = KnownGuard("unsafe", "safe", "\n\n", {"add_generation_prompt": False})
_SHIELD_GEMMA = KnownGuard(
    "Yes", "No", "", {"add_generation_prompt": False}, needed_settings=("guideline",)
)
_GRANITE_GUARDIAN = KnownGuard("Yes", "No", "", {"guardian_config": {"risk_name": "harm"}})
KNOWN_GUARDS: dict[str, KnownGuard] = {
    "meta-llama/Llama-Guard-3-8B": _LLAMA_GUARD,
    "google/shieldgemma-2b": _SHIELD_GEMMA,
    "google/shieldgemma-9b": _SHIELD_GEMMA,
    "google/shieldgemma-27b": _SHIELD_GEMMA,
    "ibm-granite/granite-guardian-3.0-2b": _GRANITE_GUARDIAN,
    "ibm-granite/granite-guardian-3.0-8b": _GRANITE_GUARDIAN,
    "ibm-granite/granite-guardian-3.1-2b": _GRANITE_GUARDIAN,
    "ibm-granite/granite-guardian-3.1-8b": _GRANITE_GUARDIAN,
}
"""By repository."""
