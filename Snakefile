"""dpo-neurons: which MLP neurons moved a model along a direction when it was fine-tuned."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

# Where this file lies, also when another workflow imports it as a module.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=False))
PACKAGE_ROOT = PROJECT / "workflow_scripts"
sys.path.insert(0, str(PACKAGE_ROOT))

from dpo_neurons.running.code_digest import code_digest
from dpo_neurons.errors import InputError
from dpo_neurons.running.hardware import checkpoint_mb, old_weights_mb, visible_gpus
from dpo_neurons.study.intervention_rows import needs_of_plan, source_stage, runs_with_direction
from dpo_neurons.activations.shards import PIECES, pieces_of_shard
from dpo_neurons.study.study import STAGES, Study, match_any, options

min_version("9.0")

# Snakemake merges --configfile into the workflow's own; a study stands by itself instead.
if not workflow.overwrite_configfiles:

    configfile: str(PROJECT / "config.yaml")


try:
    STUDY = Study(config, ", ".join(Path(path).name for path in workflow.configfiles))
except InputError as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"
include: "rules/study.smk"
include: "rules/checkpoints.smk"
include: "rules/directions.smk"
include: "rules/activations.smk"
include: "rules/neurons.smk"
include: "rules/interventions.smk"
include: "rules/evaluation.smk"
include: "rules/figures.smk"
include: "rules/intervention_figures.smk"


if CACHE:
    # Snakemake refuses to cache what it benchmarks: a result from the cache took no time here.
    for cached in (one for one in workflow.rules if one.cache and one.cache.output):
        cached._benchmark = None


localrules:
    figures,
    tables,
    activations,
    contributions,
    fetch_from_hub,


rule figures:
    default_target: True
    input:
        FIGURES,
        TABLES,
        CONTRIBUTIONS,
        LOGIT_LENSES,
        f"{RESULTS}/sources.csv",


rule tables:
    input:
        TABLES,


rule activations:
    input:
        ACTIVATIONS,


rule contributions:
    input:
        CONTRIBUTIONS,


onsuccess:
    print(where_results_are())
