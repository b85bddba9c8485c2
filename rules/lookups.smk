"""What a job reads, where that depends on the study: functions of its wildcards."""

SOURCES = [
    *expand(f"{DATA}/{{dataset}}.source.json", dataset=STUDY.needed_data),
    *expand(f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json", model=MODELS, stage=STAGES),
    # The source of a merged checkpoint does not say where its adapter is from.
    *expand(
        f"{FETCHED}/{{entry}}.source.json",
        entry=[
            key for key, entry in STUDY.on_hub.items() if entry["kind"] in ("classifier", "adapter")
        ],
    ),
]


# What a user brings: data, checkpoints, classifiers, directions.


def is_made(path):
    """Whether the workflow makes a path that a study names."""
    return path.startswith(f"{RESULTS}/")


def given_files(path):
    """The files of a path that a study names, a directory's by themselves.

    Snakemake's cache needs checksums of what a user brings, and a directory has none. What a user
    brings stays where it is: a module's prefix is for what the workflow makes.
    """
    if is_made(path):
        return path
    if not Path(path).is_dir():
        return local(path)
    files = (file for file in Path(path).iterdir() if not file.name.startswith("."))
    return [local(file) for file in sorted(str(file) for file in files if file.is_file())]


def given_path(entry):
    """Path of what a study brings: its own, or that of the folder fetched from the hub."""
    return f"{FETCHED}/{entry}" if entry in STUDY.on_hub else STUDY.entries[entry]["path"]


def path_of_data(wildcards):
    """A data set's files."""
    return [local(path) for path in STUDY.data_paths(wildcards.dataset)]


def path_of_direction(wildcards):
    """A direction's file, as the user has it."""
    return local(config["directions"][wildcards.direction]["path"])


def entry_of_checkpoint(wildcards):
    """A checkpoint's key in the study."""
    return ".".join(["models", *Path(wildcards.checkpoint).parts])


def given_checkpoint(wildcards):
    """The files of a checkpoint that the study brings, and its source file if it is fetched."""
    entry = entry_of_checkpoint(wildcards)
    source = {"fetched": f"{FETCHED}/{entry}.source.json"} if entry in STUDY.on_hub else {}
    return {"folder": given_files(given_path(entry)), **source}


def given_folder(wildcards, input):
    """The folder of a checkpoint that the study brings."""
    path = given_path(entry_of_checkpoint(wildcards))
    return input.folder if is_made(path) else path


def given_checkpoint_options(wildcards, input):
    """Command-line options that say where a checkpoint is that the study brings."""
    source = {"fetched": input.fetched} if "fetched" in input.keys() else {}
    return write_options({"path": given_folder(wildcards, input), **source})


def adapter_files(wildcards):
    """The files of the adapter that makes a model's second checkpoint."""
    return given_files(given_path(f"models.{wildcards.model}.post"))


def adapter_folder(wildcards, input):
    """The folder of that adapter."""
    path = given_path(f"models.{wildcards.model}.post")
    return input.adapter if is_made(path) else path


def state_dict(wildcards):
    """The file of a state dict, as the user has it."""
    return local(STUDY.checkpoint(wildcards.checkpoint)["path"])


def architecture_of(wildcards):
    """The checkpoint whose architecture and tokenizer a state dict belongs to."""
    own = f"{RESULTS}/checkpoints/{Path(wildcards.checkpoint).parent}/pre"
    return STUDY.checkpoint(wildcards.checkpoint).get("like", own)


def architecture_files(wildcards):
    """The files of that checkpoint."""
    return given_files(architecture_of(wildcards))


def architecture_folder(wildcards, input):
    """The folder of that checkpoint."""
    path = architecture_of(wildcards)
    return input.like if is_made(path) else path


def scorer_files(wildcards):
    """What the scorer reads besides the continuations."""
    kind = config["scorer"]["kind"]
    if kind == "lexicon":
        return {"lexicon": f"{DATA}/lexicon.jsonl"}
    if kind == "classifier":
        path = given_path("scorer")
        return {"classifier": path if is_made(path) else local(path)}
    return {}


# Options of programs that depend on the wildcards.


def rows_of_data(wildcards):
    """Rows of a synthetic data set; 0 where it has a size of its own."""
    return config["data"][wildcards.dataset].get("rows", 0)


def pin_of_entry(wildcards):
    """Command-line options that pin what is fetched from the hub."""
    return fetch_options(STUDY, wildcards.entry)


def paths_as_options(wildcards):
    """A data set's files as the option of import_data.py."""
    return write_options({"paths": STUDY.data_paths(wildcards.dataset)})


def fetched_paths_as_options(wildcards, input):
    """The pattern of a fetched data set's files as the option of import_data.py."""
    return write_options({"paths": f"{input}/{config['data'][wildcards.dataset]['files']}"})


def selection_of_data(wildcards):
    """Command-line options that say which rows of a data set to take."""
    return selection_options(STUDY, wildcards.dataset)


def plan_of_intervention(wildcards):
    """Command-line options that describe an intervention's plan."""
    return plan_options(STUDY, wildcards.intervention)


# Directions, captures and interventions.


def pair_files(wildcards):
    """What was found of a model's pair, and the first checkpoint, whose tokenizer reads for both.

    A second checkpoint that is tuned here has all files of the first but its weights, so tuning it
    otherwise changes nothing of what the pair says, and reruns nothing of the first one's.
    """
    folder = f"{RESULTS}/checkpoints/{wildcards.model}"
    tuned_here = STUDY.checkpoint(f"{wildcards.model}/post")["kind"] in ("dpo", "sft")
    pair = f"{folder}/pair.json"
    return {"pair": ancient(pair) if tuned_here else pair, "tokenizer": f"{folder}/pre"}


def direction_to_decompose(wildcards):
    """The direction near which a subspace's value vectors lie."""
    direction = config["directions"][wildcards.direction]["from"]
    return f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"


def name_of_shard(rule_name, shard):
    """Name of the rule that captures one shard's pieces."""
    return rule_name if SHARDS == 1 else f"{rule_name}_{shard}_of_{SHARDS}"


def pieces_of(shard, capture):
    """The files, by name, of the pieces that fall to a shard; gone once they are gathered."""
    return {
        f"piece_{piece + 1}": temp(
            f"{RESULTS}/activations/{{model}}/{capture}.piece-{piece + 1}.h5"
        )
        for piece in pieces_of_shard(PIECES, shard, SHARDS)
    }


def plan_files(wildcards):
    """What an intervention's plan is chosen from."""
    row = STUDY.interventions[wildcards.intervention]
    if row["kind"] == "steer":
        return {"checkpoint": f"{RESULTS}/checkpoints/{wildcards.model}/pre"}
    table = needs_of_plan(row)
    direction = STUDY.direction(wildcards.intervention)
    path = f"{RESULTS}/{table}/{wildcards.model}/{direction}.parquet"
    return {} if table == "nothing" else {table: path}


def checkpoint_to_run(wildcards):
    """The checkpoint that an intervention runs on."""
    stage = STUDY.stage(wildcards.intervention)
    return f"{RESULTS}/checkpoints/{wildcards.model}/{stage}"


def run_files(wildcards):
    """What running some interventions reads besides checkpoint, plan and texts."""
    name, model = wildcards.intervention, wildcards.model
    row, files = STUDY.interventions[name], {}
    if runs_with_direction(row):
        direction = STUDY.direction(name)
        files["direction"] = f"{RESULTS}/directions/{model}/{direction}.safetensors"
    if source_stage(row) is not None:
        files["source_checkpoint"] = f"{RESULTS}/checkpoints/{model}/{source_stage(row)}"
    return files


def run_files_as_options(wildcards, input):
    """These files as command-line options."""
    return write_options({name: input[name] for name in run_files(wildcards)})


def source_positions(wildcards):
    """Where a patch that takes activations prompt by prompt reads them, as an option."""
    row = STUDY.interventions[wildcards.intervention]
    if source_stage(row) is None:
        return ""
    return write_options({"source_positions": config["activations"]["positions"]})


def generation_positions(wildcards):
    """Where an intervention acts in each forward pass of generation; steering may say so itself."""
    row = STUDY.interventions[wildcards.intervention]
    return row.get("positions", config["generation"]["positions"])
