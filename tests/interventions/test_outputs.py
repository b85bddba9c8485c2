"""A model that breaks under an intervention is named with the intervention."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.interventions.outputs import name_broken_intervention


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (
            pd.DataFrame({"layer": [0], "factor": [1000.0], "alpha": [np.nan], "scale": [None]}),
            r"row x \(factor 1000, float16\): the logits .* breaks the model; lower its factor, or",
        ),
        (
            pd.DataFrame({"layer": [0], "groups": ["TP-"]}),
            r"row x \(float16\): the logits .* the model; leave the row out, or set models",
        ),
        (
            pd.DataFrame({"layer": []}),
            "^row x, in float16: the logits .* make the checkpoint again",
        ),
    ],
)
def test_a_broken_model_is_named_with_what_broke_it(plan, sentence):
    with (
        pytest.raises(InputError, match=sentence),
        name_broken_intervention("x", plan, "float16"),
    ):
        raise BrokenModelError("the logits after prompt 3 of a batch are NaN or infinite")
