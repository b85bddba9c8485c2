"""What the rules share: names of the study, closed sets of wildcards, and how a job is run."""

RESULTS = STUDY.results
DATA = f"{RESULTS}/data"
FETCHED = f"{RESULTS}/fetched"
MODELS = list(config["models"])
DIRECTION = config["direction"]
SEED = config["seed"]
ENVIRONMENT = "../environment.yml"
GPUS = visible_gpus() if config["compute"]["device"] != "cpu" else 0

SOURCES = [
    *expand(f"{DATA}/{{dataset}}.source.json", dataset=STUDY.needed_data),
    *expand(f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json", model=MODELS, stage=STAGES),
    # The source of a merged checkpoint does not say where its adapter is from.
    *expand(
        f"{FETCHED}/{{entry}}.source.json",
        entry=[
            key for key, one in STUDY.on_hub.items() if one["kind"] in ("classifier", "adapter")
        ],
    ),
]

if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


wildcard_constraints:
    dataset=one_of(config["data"]),
    model=one_of(MODELS),
    stage=one_of(STAGES),
    direction=one_of(config["directions"]),
    intervention=one_of(STUDY.interventions),


def code_of(program):
    """Digest of all the code that a program executes; a param of its rule, so that changes rerun."""
    return code_digest(Path(workflow.basedir) / "workflow_scripts" / f"{program}.py")


def checkpoint_of(intervention):
    """Path of the checkpoint that an intervention runs on."""
    return f"{RESULTS}/checkpoints/{{model}}/{STUDY.stage(intervention)}"


def plan_files(wildcards):
    """What an intervention's plan is chosen from."""
    row = STUDY.interventions[wildcards.intervention]
    if row["kind"] == "steer":
        return {"checkpoint": f"{RESULTS}/checkpoints/{wildcards.model}/pre"}
    table = needs_of_plan(row)
    direction = STUDY.direction(wildcards.intervention)
    path = f"{RESULTS}/{table}/{wildcards.model}/{direction}.parquet"
    return {} if table == "nothing" else {table: path}


def run_files(wildcards):
    """What running an intervention reads besides checkpoint, plan and texts."""
    name, model = wildcards.intervention, wildcards.model
    row, files = STUDY.interventions[name], {}
    if runs_with_direction(row):
        direction = STUDY.direction(name)
        files["direction"] = f"{RESULTS}/directions/{model}/{direction}.safetensors"
    if own_stage(row) is not None:
        files["own_checkpoint"] = f"{RESULTS}/checkpoints/{model}/{own_stage(row)}"
    return files


def generation_positions_of(wildcards):
    """Where an intervention acts in each forward pass of generation; steering may say so itself."""
    row = STUDY.interventions[wildcards.intervention]
    return row.get("positions", config["generation"]["positions"])


def run_options(wildcards):
    """Command-line options for what running an intervention reads besides."""
    row = STUDY.interventions[wildcards.intervention]
    positions = (
        {} if own_stage(row) is None else {"own_positions": config["activations"]["positions"]}
    )
    return options({**run_files(wildcards), **positions})


def direction_file(direction):
    """Path of a direction's file, the model left open."""
    return f"{RESULTS}/directions/{{model}}/{direction}.safetensors"


def dtype_of(wildcards):
    """Number format that a model runs in."""
    return config["models"][wildcards.model]["dtype"]


def attention_of(wildcards):
    """Implementation of attention that a model runs with."""
    return config["models"][wildcards.model]["attention"]


def given_path(entry):
    """Path of what a study brings: its own, or that of the folder fetched from the hub."""
    return f"{FETCHED}/{entry}" if entry in STUDY.on_hub else STUDY.entries[entry]["path"]


def given_checkpoint(wildcards):
    """The directory of a checkpoint that the study brings, and its source if it was fetched."""
    entry = ".".join(["models", *Path(wildcards.checkpoint).parts])
    source = {"fetched": f"{FETCHED}/{entry}.source.json"} if entry in STUDY.on_hub else {}
    return {"path": given_path(entry), **source}


def scorer_files(wildcards):
    """What the scorer reads besides the continuations."""
    kind = config["scorer"]["kind"]
    if kind == "lexicon":
        return {"lexicon": f"{DATA}/lexicon.jsonl"}
    return {"classifier": given_path("scorer")} if kind == "classifier" else {}


def gpus_of(count):
    """GPUs to ask Snakemake for: none on a machine without one."""
    return count if GPUS or config["compute"]["device"] == "cuda" else 0


def model_resources(minutes):
    """Resources of a rule that runs a model; none of them ever reruns a job."""
    return {
        "gpu": lambda wildcards: gpus_of(config["models"][wildcards.model]["gpus"]),
        "gpus": lambda wildcards: config["models"][wildcards.model]["gpus"],
        "mem_mb": lambda wildcards, input: 2000 + 3 * checkpoint_mb(input.checkpoint),
        "runtime": lambda wildcards, input: minutes + checkpoint_mb(input.checkpoint) // 200,
        "device": config["compute"]["device"],
        "batch_size": config["compute"]["batch_size"],
    }


def both_models_mb(wildcards, input):
    """Memory of a job that holds both checkpoints at once."""
    return 2000 + 3 * (checkpoint_mb(input.checkpoint) + checkpoint_mb(input.checkpoint_post))


def training_resources():
    """Resources of a rule that tunes a model, on one GPU; weights and optimiser in float32."""
    return {
        "gpu": gpus_of(1),
        "mem_mb": lambda wildcards, input: 4000 + 10 * checkpoint_mb(input.checkpoint),
        "runtime": lambda wildcards, input: 60 + checkpoint_mb(input.checkpoint) // 20,
        "device": config["compute"]["device"],
    }


def figure_files(figure):
    """The four files of a figure; the page goes into the report, under its model."""
    stem = f"{RESULTS}/figures/{{model}}/{figure}"
    page = report(
        f"{stem}.html",
        caption=f"../report/figures/{figure}.rst",
        category="{model}",
        subcategory="figures",
        labels={"figure": figure},
    )
    return {"json": f"{stem}.json", "html": page, "svg": f"{stem}.svg", "png": f"{stem}.png"}


def stem_of(wildcards, output):
    """Path of a figure's files less their endings."""
    return str(Path(output.json).with_suffix(""))
