"""Plans: made, checked, written and read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.plans import (
    COLUMNS,
    OPERATIONS,
    check_plan,
    empty_plan,
    make_plan,
    read_plans,
    write_plans,
)

N_LAYERS, D_MLP, D_ATTN = 3, 7, 5
neurons = st.lists(
    st.tuples(st.integers(0, N_LAYERS - 1), st.integers(0, D_MLP - 1)), unique=True, max_size=21
).map(lambda rows: pd.DataFrame(rows, columns=["layer", "neuron"]))
operations = st.sampled_from([name for name, one in OPERATIONS.items() if "neurons" in one.places])
values = st.floats(allow_nan=False, allow_infinity=False)


def one_row(layer=0, neuron=0, operation="set", value=0.0):
    return pd.DataFrame([(layer, neuron, operation, value)], columns=list(COLUMNS))


@settings(max_examples=25, deadline=None)
@given(neurons, operations, values)
def test_what_make_plan_makes_of_the_models_neurons_is_accepted(chosen, operation, value):
    plan = make_plan(chosen, operation, value)
    check_plan(plan, N_LAYERS, D_MLP, D_ATTN)
    assert tuple(plan.columns) == COLUMNS
    assert len(plan) == len(chosen)
    assert (plan["operation"] == operation).all()
    assert (plan["value"] == value).all()


@settings(max_examples=25, deadline=None)
@given(neurons, operations, st.data())
def test_values_stay_with_their_neurons_and_rows_are_in_order(chosen, operation, data):
    # The index is that of a filtered table: neither sorted nor gapless.
    chosen.index = data.draw(st.permutations(range(0, 2 * len(chosen), 2)))
    worth = pd.Series(chosen["layer"] * 100.0 + chosen["neuron"], index=chosen.index)
    plan = make_plan(chosen, operation, worth)
    assert (plan["value"] == plan["layer"] * 100 + plan["neuron"]).all()
    assert plan[["layer", "neuron"]].apply(tuple, axis=1).tolist() == sorted(
        chosen[["layer", "neuron"]].itertuples(index=False, name=None)
    )


@settings(max_examples=25, deadline=None)
@given(neurons, operations, values)
def test_a_plan_survives_writing_and_reading(tmp_path_factory, chosen, operation, value):
    path = tmp_path_factory.mktemp("plans") / "plan.parquet"
    plan = make_plan(chosen, operation, value)
    write_plans(path, {"x": plan, "unchanged": empty_plan()})
    if plan.empty:
        assert read_plans(path) == {}
        return
    (read,) = read_plans(path).values()
    pd.testing.assert_frame_equal(read, plan.assign(intervention="x")[read.columns])


def test_a_row_that_changes_nothing_has_no_lines_and_fits_every_model(tmp_path):
    write_plans(tmp_path / "none.parquet", {"none": empty_plan()}, {"none": {"kind": "none"}})
    assert read_plans(tmp_path / "none.parquet") == {}
    assert tuple(empty_plan().columns) == COLUMNS
    check_plan(empty_plan(), 1, 1, 1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"layer": N_LAYERS}, "layer 3, neuron 0 is outside the model's 3 layers of 7 neurons"),
        ({"layer": -1}, "layer -1, neuron 0 is outside"),
        ({"neuron": D_MLP}, "layer 0, neuron 7 is outside"),
        ({"neuron": -1}, "layer 0, neuron -1 is outside"),
        (
            {"operation": "zero"},
            "operation 'zero' is unknown; use one of set, scale, add, set_prompt_mean",
        ),
        ({"value": np.nan}, "a value is missing or not a finite number"),
        ({"value": None}, "a value is missing or not a finite number"),
        ({"value": "much"}, "value"),
        ({"value": np.inf}, "value"),
        ({"neuron": 1.5}, "neuron"),
        ({"neuron": np.nan}, "neuron"),
    ],
    ids=str,
)
def test_a_row_that_fits_no_model_is_refused(row, words):
    with pytest.raises(InputError, match=words):
        check_plan(
            pd.concat([one_row(1, 1), one_row(**row)], ignore_index=True), N_LAYERS, D_MLP, D_ATTN
        )


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ("set", "set", False),
        ("set", "add", False),
        ("scale", "add", False),
        ("scale_key", "scale_key", False),
        ("set", "scale_key", True),
        ("scale_key", "scale", True),
    ],
)
def test_a_neuron_has_one_operation_on_its_activation_and_one_on_its_key(first, second, fits):
    plan = pd.concat([one_row(1, 2, first), one_row(1, 2, second, 1.0)], ignore_index=True)
    if fits:
        check_plan(plan, N_LAYERS, D_MLP, D_ATTN)
        return
    with pytest.raises(InputError, match="layer 1, neuron 2 has two operations"):
        check_plan(plan, N_LAYERS, D_MLP, D_ATTN)


def test_a_missing_or_damaged_plan_is_named(tmp_path):
    path = tmp_path / "plan.parquet"
    with pytest.raises(InputError, match=r"plan\.parquet: No such file"):
        read_plans(path)
    path.write_text("layer,neuron\n")
    with pytest.raises(InputError, match=r"plan\.parquet: cannot be read as parquet"):
        read_plans(path)
    one_row().assign(intervention="x").drop(columns="value").to_parquet(path)
    with pytest.raises(InputError, match=r"plan\.parquet: plans need the column 'value'"):
        read_plans(path)
