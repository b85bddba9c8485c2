"""The embedded study's configuration with few rows, and changes of it."""

import copy
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
EMBEDDED = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
EMBEDDED["figures"]["1a_layer_projections"]["ablated"] = "ablate_top_6"
EMBEDDED["sampling"]["rows"] = ["none"]
EMBEDDED["interventions"] = {
    "ablate_top_6": {"kind": "ablate", "top": 6},
    "ablate_positive": {"kind": "ablate", "top": 3, "activation": "positive"},
    "scale_keys_x2": {"kind": "scale_keys", "top": 7, "factor": 2},
    "patch_tp": {"kind": "patch", "groups": ["TP-"]},
    "patch_tp_an": {"kind": "patch", "groups": ["TP-", "AN-"]},
}


def changed(**changes: Any) -> dict[str, Any]:
    """The embedded study with values changed, by dotted key; … removes one."""
    config = copy.deepcopy(EMBEDDED)
    for key, value in changes.items():
        *path, last = key.split("__")
        entry = config
        for part in path:
            entry = entry[part]
        if value is ...:
            del entry[last]
        else:
            entry[last] = value
    return config
