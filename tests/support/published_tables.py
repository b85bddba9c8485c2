"""Tables of one model, with the published figures of GPT-2 medium where there are any."""

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.model_comparison import ModelTables
from dpo_neurons.neurons.groups import GROUPS, REDUCING

SHARES = [0.32, 0.24, 0.07, 0.37, 0.25, 0.25, 0.25, 0.25]
COUNTS = [3967, 22444, 1838, 29252, 10, 10, 10, 10]
NOTHING = float("nan")


def tables(share=0.24):
    """A model's tables, with the published figures of GPT-2 medium where there are any."""
    totals = pd.DataFrame(
        [
            ("neurons", 98_304.0, NOTHING, NOTHING, ""),
            ("reducing", 0.5849, NOTHING, NOTHING, ""),
            ("active", 0.1271, NOTHING, NOTHING, ""),
            ("positive_reduction", 47.96, 45.0, 50.0, "no"),
            ("crossfitted_positive_reduction", 40.25, 38.0, 43.0, "yes"),
            ("net_reduction", 7.22, 6.0, 8.0, ""),
        ],
        columns=["quantity", "value", "low", "high", "corrected_for_selection"],
    )
    shares = np.array(SHARES)
    groups = pd.DataFrame({"group": GROUPS, "neurons": COUNTS, "reduction": 47.96 * shares})
    groups["crossfitted_share"] = shares - 0.001
    groups["crossfitted_reduction"] = 40.25 * shares
    for name in ("share", "reduction", "crossfitted_share", "crossfitted_reduction"):
        values = groups.get(name, pd.Series(shares))
        groups[name], groups[f"{name}_low"] = values, values - 0.01
        groups[f"{name}_high"] = values + 0.02
    table = pd.DataFrame(
        {
            "intervention": ["none", "dpo", "patch_tp", "control_tp", "ablate_top_9"],
            "kind": ["none", "dpo", "patch", "control", "ablate"],
            "control_of": ["", "", "", "patch_tp", ""],
            "groups": ["", "", "TP-", "TP-", ""],
        }
    )
    table["toxicity"] = [0.453, 0.208, 0.394, 0.43, 0.47]
    table["effect_share"] = [0, 1, share, 0.1, -0.05]
    table["effect_share_low"] = table["effect_share"] - 0.1
    table["effect_share_high"] = table["effect_share"] + 0.2
    tests = pd.DataFrame(
        [
            ("dpo", "none", -0.245, -0.26, -0.22),
            ("patch_tp", "none", -0.1, -0.2, 0.0),
            ("patch_tp", "dpo", 0.1, 0.0, 0.2),
        ],
        columns=[
            "intervention", "against", "toxicity_difference", "toxicity_difference_low",
            "toxicity_difference_high",
        ],
    )  # fmt: skip
    random_sets = pd.DataFrame(
        {"intervention": ["patch_tp"], "random_toxicity": 0.4285, "random_toxicity_low": 0.404,
         "random_toxicity_high": 0.453, "p": 0.05}
    )  # fmt: skip
    random_directions = pd.DataFrame(
        {"quantity": ["net_reduction", *(f"share_{group}" for group in REDUCING[::-1])],
         "random": [0.0, 0.1, 0.2, 0.3, 0.4], "random_low": [-1.0, 0.0, 0.1, 0.2, 0.3],
         "random_high": [1.0, 0.2, 0.3, 0.4, 0.5], "p": [0.005, 0.1, 0.2, 0.3, 0.4]}
    )  # fmt: skip
    stream = pd.DataFrame(
        {"text": ["own", "own", "same"], "part": ["heads", "neurons", "neurons"],
         "share": [0.4, 0.55, -0.1], "share_low": [0.3, 0.5, NOTHING],
         "share_high": [0.5, 0.6, NOTHING]}
    )  # fmt: skip
    verdicts = pd.DataFrame(
        {"intervention": ["patch_tp", "control_tp", "ablate_top_9"],
         "verdict": ["no longer writes", "does not lower toxicity", "does not lower toxicity"]}
    )  # fmt: skip
    return ModelTables(
        totals, groups, table, tests, random_sets, random_directions, stream, verdicts
    )
