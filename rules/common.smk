"""What the rules share: names of the study, closed sets of wildcards, and how a job is run."""

import json
import os
import shlex

SCRIPTS = shlex.quote(
    os.path.relpath(PACKAGE_ROOT) if PACKAGE_ROOT.is_relative_to(Path.cwd()) else str(PACKAGE_ROOT)
)
# Jobs run the package beside this Snakefile, whose digest their rules carry, and no installed one.
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
)

RESULTS = STUDY.results
DATA = f"{RESULTS}/data"
FETCHED = f"{RESULTS}/fetched"
MODELS = list(config["models"])
DIRECTION = config["direction"]
SEED = config["seed"]
ENVIRONMENT = "../environment.yml"
SHARDS = config["compute"]["shards"]
CACHE = workflow.workflow_settings.cache is not None
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
    dataset=match_any(config["data"]),
    model=match_any(MODELS),
    stage=match_any(STAGES),
    direction=match_any(config["directions"]),
    capture=match_any([*STAGES, *STUDY.interventions]),
    intervention=match_any(STUDY.interventions),


def log_path(rule, *wildcards):
    """Path of a job's log: the rule's name, then what tells its jobs apart."""
    return f"{RESULTS}/logs/{'/'.join([rule, *wildcards])}.log"


def benchmark_path(rule, *wildcards):
    """Path of a job's benchmark, as its log's."""
    return f"{RESULTS}/benchmarks/{'/'.join([rule, *wildcards])}.tsv"


def path_of(program):
    """Path of a program, quoted, as a job's command line has it."""
    return f"{SCRIPTS}/{program}.py"


def code_of(program):
    """Digest of all the code that a program executes; a param of its rule, so that changes rerun."""
    return code_digest(PACKAGE_ROOT / f"{program}.py", PACKAGE_ROOT)


def name_of_shard(capture, shard):
    """Name of the rule that captures one shard's pieces."""
    return capture if SHARDS == 1 else f"{capture}_{shard}_of_{SHARDS}"


def pieces_of(shard, capture):
    """The files, by name, of the pieces that fall to a shard; gone once they are gathered."""
    return {
        f"piece_{piece + 1}": temp(
            f"{RESULTS}/activations/{{model}}/{capture}.piece-{piece + 1}.h5"
        )
        for piece in pieces_of_shard(PIECES, shard, SHARDS)
    }


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
    if source_stage(row) is not None:
        files["source_checkpoint"] = f"{RESULTS}/checkpoints/{model}/{source_stage(row)}"
    return files


def generation_positions_of(wildcards):
    """Where an intervention acts in each forward pass of generation; steering may say so itself."""
    row = STUDY.interventions[wildcards.intervention]
    return row.get("positions", config["generation"]["positions"])


def run_options(wildcards):
    """Command-line options for what running an intervention reads besides."""
    row = STUDY.interventions[wildcards.intervention]
    positions = (
        {}
        if source_stage(row) is None
        else {"source_positions": config["activations"]["positions"]}
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


def files_in(path):
    """A directory that a user brings, as its files; one that the workflow makes stays as it is.

    Snakemake's cache needs checksums of what a user brings, and a directory has none.
    """
    if path.startswith(f"{RESULTS}/") or not Path(path).is_dir():
        return path
    files = (file for file in Path(path).iterdir() if not file.name.startswith("."))
    return sorted(str(file) for file in files if file.is_file())


def given_checkpoint(wildcards):
    """What there is of a checkpoint that the study brings: its directory, its source if fetched."""
    entry = ".".join(["models", *Path(wildcards.checkpoint).parts])
    source = {"fetched": f"{FETCHED}/{entry}.source.json"} if entry in STUDY.on_hub else {}
    return {"path": given_path(entry), **source}


def given_files(wildcards):
    """The files of a checkpoint that the study brings."""
    found = [files_in(path) for path in given_checkpoint(wildcards).values()]
    return [file for one in found for file in ([one] if isinstance(one, str) else one)]


def architecture_of(wildcards):
    """The checkpoint whose architecture and tokenizer a state dict belongs to."""
    own = f"{RESULTS}/checkpoints/{Path(wildcards.checkpoint).parent}/pre"
    return STUDY.checkpoint(wildcards.checkpoint).get("like", own)


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
        # Not `gpus`: Slurm's plugin takes that for a request, which a job on the CPU must not make.
        "model_gpus": lambda wildcards: config["models"][wildcards.model]["gpus"],
        "mem_mb": lambda wildcards, input: 2000 + 3 * models_mb(input),
        "runtime": lambda wildcards, input: minutes + models_mb(input) // 200,
        "device": config["compute"]["device"],
        "batch_size": config["compute"]["batch_size"],
    }


def models_mb(input):
    """Size of the checkpoints that a job holds at once: its own, and a second one if it has one."""
    held = [input.get(name) for name in ("checkpoint", "checkpoint_post", "source_checkpoint")]
    return sum(checkpoint_mb(one) for one in held if one)


def training_resources():
    """Resources of a rule that tunes a model, on one GPU; weights and optimiser in float32."""
    return {
        "gpu": gpus_of(1),
        "mem_mb": lambda wildcards, input: 4000 + 10 * checkpoint_mb(input.checkpoint),
        "runtime": lambda wildcards, input: 60 + checkpoint_mb(input.checkpoint) // 20,
        "device": config["compute"]["device"],
    }


def figure_files(figure, caption=None):
    """The four files of a figure; the page goes into the report, under its model."""
    stem = f"{RESULTS}/figures/{{model}}/{figure}"
    page = report(
        f"{stem}.html",
        caption=f"../report/figures/{caption or figure}.rst",
        category="{model}",
        subcategory="figures",
        labels={"figure": figure},
    )
    return {"json": f"{stem}.json", "html": page, "svg": f"{stem}.svg", "png": f"{stem}.png"}


def stem_of(wildcards, output):
    """Path of a figure's files less their endings."""
    return str(Path(output.json).with_suffix(""))


def where_results_are():
    """The line that a run ends with: what there is of the results, and how to get the rest."""
    tables = [f"{RESULTS}/tables/{table}.md" for table in [*MODELS, "comparison"]]
    found = [path for path in [*tables, f"{RESULTS}/figures"] if Path(path).exists()]
    command = ["snakemake", "--report", "report.html"]
    if workflow.overwrite_configfiles:
        command += ["--configfile", *map(os.path.relpath, workflow.overwrite_configfiles)]
    if workflow.config_settings.config:
        command.append("--config")
        command += [f"{key}={value}" for key, value in workflow.config_settings.config.items()]
    return f"Results: {', '.join(found) or RESULTS}. All in one page: {shlex.join(command)}"


def files_as_options(wildcards, input):
    """A figure's input files as command-line options, named as in the rule."""
    return options(dict(input.items()))


def drawn_by(program, **settings):
    """Params of a figure: the program that draws it, its settings as options, its code's digest."""
    return {
        "program": path_of(f"figures/{program}"),
        "settings": options(settings),
        "code": code_of(f"figures/{program}"),
    }
