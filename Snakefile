"""dpo-neurons: which MLP neurons moved a model along a direction when it was fine-tuned."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")

# The directory of this file, also when another workflow imports it as a module.
PROJECT = Path(workflow.snakefile).parent
PACKAGE_ROOT = PROJECT / "workflow_scripts"
if not PACKAGE_ROOT.is_dir():
    raise WorkflowError(
        f"{PROJECT}: has no folder workflow_scripts; clone the whole repository and name its "
        "Snakefile"
    )
if set("{}") & set(str(PROJECT)):
    raise WorkflowError(
        f"{PROJECT}: its path has braces, which Snakemake reads as wildcards; rename the folder"
    )
sys.path.insert(0, str(PACKAGE_ROOT))

from dpo_neurons.activations.shards import PIECES, pieces_of_shard
from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import check_can_be_made
from dpo_neurons.running.digest_store import digest_programs
from dpo_neurons.running.failed_jobs import describe_failed_jobs
from dpo_neurons.running.hardware import (
    checkpoint_mb,
    embedding_mb,
    logits_mb,
    model_mb,
    old_weights_mb,
    visible_gpus,
)
from dpo_neurons.running.job_costs import (
    BATCH_ON_CPU,
    CONTINUED_ON_CPU,
    TOKENS_AT_ONCE,
    activations_mb,
    captured_mb,
    count_rows,
    count_tokens,
    count_weights,
    keys_values_mb,
    reading_minutes,
    window_logits_mb,
)
from dpo_neurons.study.checks import check_study
from dpo_neurons.study.config_text import check_config_texts, only_looks
from dpo_neurons.study.intervention_rows import (
    UNPATCHED,
    counts_layers,
    donor_stage,
    needs_length,
    needs_of_plan,
    positions_in_generation,
    ranking_of,
    runs_with_direction,
    runs_with_shifts,
    source_stage,
)
from dpo_neurons.study.program_options import (
    fetch_options,
    plan_options,
    random_set_options,
    random_set_run_options,
    run_options,
    runs_a_model,
    sampling_options,
    scorer_options,
    scorer_run_options,
    selection_options,
    write_options,
)
from dpo_neurons.study.study import KEY_OF_FIRST_SCORER, STAGES, TUNED_ON_PAIRS, any_of

# Snakemake merges --configfile into the Snakefile's own file. Here it replaces that file, as does
# the configuration of a workflow that imports this one.
replaced = workflow.overwrite_configfiles or workflow.modifier.skip_configfile
own_config = [] if replaced else [PROJECT / "config.yaml"]
try:
    # Before Snakemake reads the file: it names no line, and ends with a traceback for some faults.
    check_config_texts([*map(Path, workflow.configfiles), *own_config], sys.argv[1:])
except InputError as error:
    raise WorkflowError(str(error)) from None
if own_config:

    configfile: str(PROJECT / "config.yaml")


config_names = ", ".join(Path(path).name for path in workflow.configfiles)
try:
    STUDY = check_study(config, config_names or "configuration")
    if not only_looks(sys.argv[1:]):
        # Snakemake itself would end with a traceback.
        check_can_be_made(Path(".snakemake"))
        check_can_be_made(Path(STUDY.results))
except InputError as error:
    raise WorkflowError(str(error)) from None


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/lookups.smk"
include: "rules/intervention_lookups.smk"
include: "rules/drawing.smk"
include: "rules/study.smk"
include: "rules/checkpoints.smk"
include: "rules/directions.smk"
include: "rules/activations.smk"
include: "rules/neurons.smk"
include: "rules/residual_stream.smk"
include: "rules/interventions.smk"
include: "rules/evaluation.smk"
include: "rules/model_comparison.smk"
include: "rules/intervention_tables.smk"
include: "rules/figures.smk"
include: "rules/figures_of_changes.smk"
include: "rules/intervention_figures.smk"


rule figures:
    default_target: True
    input:
        FIGURES,
        TABLES,
        CONTRIBUTIONS,
        LOGIT_LENSES,
        PAGES,
        f"{RESULTS}/sources.csv",
    localrule: True


rule tables:
    input:
        TABLES,
    localrule: True


rule activations:
    input:
        ACTIVATIONS,
    localrule: True


rule contributions:
    input:
        CONTRIBUTIONS,
    localrule: True


onsuccess:
    print(where_results_are())


onerror:
    for failure in describe_failed_jobs(map(Path, log)):
        print(f"Failed: {failure}")
