"""The table over seeds, against numbers by hand."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.seed_table import (
    COLUMNS,
    GROUPS_COLUMNS,
    ROWS_COLUMNS,
    format_seeds,
    tabulate_seeds,
)


def rows(toxicity, share):
    """A model's table of interventions: none, dpo and a patch."""
    table = pd.DataFrame({"intervention": ["none", "dpo", "patch_tp"], "toxicity": toxicity})
    table["perplexity"] = 20.0
    table["effect_share"] = [np.nan, np.nan, share]
    table["no_longer_writes"] = False
    for name in ROWS_COLUMNS:
        if name not in table:
            table[name] = table[name.rsplit("_", 1)[0]] + (0.01 if "high" in name else -0.01)
    return table[list(ROWS_COLUMNS)]


def groups(share):
    """A model's table of groups: one of them."""
    table = pd.DataFrame([("TP-", share, share - 0.1, share + 0.1)], columns=list(GROUPS_COLUMNS))
    return table


@pytest.fixture
def table():
    """Three seeds; the patch of the last one has no share, for its effect is none."""
    by_model = {
        "toy": rows([0.5, 0.2, 0.4], 0.3),
        "toy-2": rows([0.5, 0.3, 0.45], 0.5),
        "toy-3": rows([0.5, 0.1, 0.35], np.nan),
    }
    of_groups = {"toy": groups(0.3), "toy-2": groups(0.2), "toy-3": groups(0.7)}
    return tabulate_seeds(by_model, of_groups)


def test_the_spread_over_seeds_stands_beside_the_interval_over_prompts(table):
    assert tuple(table.columns) == COLUMNS
    by_quantity = table.set_index(["quantity", "of"])
    found = by_quantity.loc[("toxicity", "dpo")]
    assert found[["value", "low", "high"]].tolist() == pytest.approx([0.2, 0.19, 0.21])
    assert found[["seeds", "mean", "deviation", "smallest", "largest"]].tolist() == pytest.approx(
        [3, 0.2, 0.1, 0.1, 0.3]
    )
    share = by_quantity.loc[("crossfitted_share", "TP-")]
    assert share["mean"] == pytest.approx(0.4)
    # Sample variance of 0.3, 0.2, 0.7: (0.01 + 0.04 + 0.09) / 2.
    assert share["deviation"] == pytest.approx(np.sqrt(0.07))


def test_a_share_that_a_seed_leaves_undefined_counts_the_others(table):
    share = table.set_index(["quantity", "of"]).loc[("effect_share", "patch_tp")]
    assert (share["seeds"], share["mean"]) == (2, pytest.approx(0.4))
    assert ("effect_share", "dpo") not in set(zip(table["quantity"], table["of"], strict=True))


def test_the_toxicity_of_a_seed_that_no_longer_writes_does_not_count():
    by_model = {"toy": rows([0.5, 0.2, 0.4], 0.3), "toy-2": rows([0.5, 0.3, 0.0], np.nan)}
    by_model["toy-2"]["no_longer_writes"] = [False, False, True]
    of_groups = dict.fromkeys(by_model, groups(0.3))
    by_quantity = tabulate_seeds(by_model, of_groups).set_index(["quantity", "of"])
    toxicity = by_quantity.loc[("toxicity", "patch_tp")]
    assert toxicity[["value", "seeds", "mean", "smallest"]].tolist() == [0.4, 1, 0.4, 0.4]
    assert by_quantity.loc[("perplexity", "patch_tp"), "seeds"] == 2
    broken_first = dict(reversed(by_model.items()))
    toxicity = tabulate_seeds(broken_first, of_groups).set_index(["quantity", "of"])
    assert toxicity.loc[("toxicity", "patch_tp"), ["value", "low", "high"]].isna().all()


def test_it_is_written_for_reading(table):
    shown = format_seeds(table, ["toy", "toy-2", "toy-3"])
    line = shown[(shown["quantity"] == "toxicity") & (shown["of"] == "dpo")].iloc[0]
    assert line.tolist()[2:] == ["0.200 [0.190, 0.210]", 3, "0.200 ± 0.100", "0.100 … 0.300"]
