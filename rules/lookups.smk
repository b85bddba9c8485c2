"""Inputs and options of jobs that depend on the study: functions of the job's wildcards."""

SOURCES = [
    *expand(f"{DATA}/{{dataset}}.source.json", dataset=STUDY.needed_data),
    *expand(f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json", model=MODELS, stage=STAGES),
    # A merged checkpoint's own source file does not name the adapter's origin.
    *expand(
        f"{FETCHED}/{{entry}}.source.json",
        entry=[
            key for key, entry in STUDY.on_hub.items() if entry["kind"] in ("classifier", "adapter")
        ],
    ),
]


# Files that a user brings: data, checkpoints, classifiers, directions.


def is_made(path):
    """Return whether the workflow itself makes a path."""
    return path.startswith(f"{RESULTS}/")


def given_folder_files(name, path):
    """The files of a folder that a study names, as an input of this name.

    Snakemake compares files by content and folders by time stamps. What a user brings stays where
    it is: a module's prefix is for what the workflow makes.
    """
    if is_made(path):
        return folder(name, path)
    files = (file for file in Path(path).iterdir() if not file.name.startswith("."))
    return {name: [local(file) for file in sorted(str(file) for file in files if file.is_file())]}


def given_path(entry):
    """Return the path of a study's entry: its own, or that of the folder fetched from the hub."""
    return f"{FETCHED}/{entry}" if entry in STUDY.on_hub else STUDY.entries[entry]["path"]


def path_of_data(wildcards):
    """Return a data set's files."""
    return [local(path) for path in STUDY.data_paths(wildcards.dataset)]


def path_of_direction(wildcards):
    """Return the user's file of a direction."""
    return local(config["directions"][wildcards.direction]["path"])


def entry_of_checkpoint(wildcards):
    """Return a checkpoint's key in the study."""
    return ".".join(["models", *Path(wildcards.checkpoint).parts])


def given_checkpoint(wildcards):
    """Return a given checkpoint's files, and its source file if it is fetched."""
    entry = entry_of_checkpoint(wildcards)
    if entry in STUDY.on_hub:
        path = given_path(entry)
        return {"folder": ancient(path), "fetched": f"{path}.source.json"}
    return given_folder_files("folder", given_path(entry))


def given_folder(wildcards, input):
    """Return a given checkpoint's folder."""
    path = given_path(entry_of_checkpoint(wildcards))
    return input.folder if is_made(path) else path


def given_checkpoint_options(wildcards, input):
    """Write the command-line options for a given checkpoint's folder and source file."""
    source = {"fetched": input.fetched} if "fetched" in input.keys() else {}
    return write_options({"path": given_folder(wildcards, input), **source})


def adapter_files(wildcards):
    """Return the files of the adapter for a model's second checkpoint."""
    return given_folder_files("adapter", given_path(f"models.{wildcards.model}.post"))


def adapter_folder(wildcards, input):
    """Return the folder of the adapter for a model's second checkpoint."""
    path = given_path(f"models.{wildcards.model}.post")
    return input.adapter if is_made(path) else path


def file_of_checkpoint(wildcards):
    """Return the user's file that a checkpoint is made from: a state dict, or GGUF."""
    return local(STUDY.checkpoint(wildcards.checkpoint)["path"])


def architecture_of(wildcards):
    """Return the checkpoint with the architecture and tokenizer of a state dict."""
    own = f"{RESULTS}/checkpoints/{Path(wildcards.checkpoint).parent}/pre"
    return STUDY.checkpoint(wildcards.checkpoint).get("like", own)


def architecture_files(wildcards):
    """Return the files of the checkpoint with a state dict's architecture."""
    return given_folder_files("like", architecture_of(wildcards))


def architecture_folder(wildcards, input):
    """Return the folder of the checkpoint with a state dict's architecture."""
    path = architecture_of(wildcards)
    return input.like if is_made(path) else path


def scorer_files(wildcards):
    """Return the scorer's input files, besides the continuations."""
    if config["scorer"]["kind"] == "classifier":
        return given_folder_files("classifier", given_path("scorer"))
    return lexicon_of_scorer(wildcards)


def lexicon_of_scorer(wildcards):
    """Return the words that the scorer finds in texts, if it is a lexicon."""
    lexicon = {"lexicon": f"{DATA}/lexicon.jsonl"}
    return lexicon if config["scorer"]["kind"] == "lexicon" else {}


def scorer_files_as_options(wildcards, input):
    """Write the scorer's files and the continuations as command-line options."""
    files = {"continuations": input.continuations}
    if "lexicon" in input.keys():
        files["lexicon"] = input.lexicon
    if "classifier" in input.keys():
        path = given_path("scorer")
        files["classifier"] = input.classifier if is_made(path) else path
    return write_options(files)


# Command-line options that depend on the wildcards.


def rows_of_data(wildcards):
    """Return the number of rows of a synthetic data set; 0 if its size is fixed."""
    return config["data"][wildcards.dataset].get("rows", 0)


def pin_of_entry(wildcards):
    """Write the command-line options that name a fetched entry and its commit."""
    return fetch_options(STUDY, wildcards.entry)


def paths_as_options(wildcards):
    """Write a data set's files as an option of import_data.py."""
    return write_options({"paths": STUDY.data_paths(wildcards.dataset)})


def fetched_paths_as_options(wildcards, input):
    """Write the pattern of a fetched data set's files as an option of import_data.py."""
    return write_options({"paths": f"{input.files}/{config['data'][wildcards.dataset]['files']}"})


def selection_of_data(wildcards):
    """Write the command-line options that select a data set's rows."""
    return selection_options(STUDY, wildcards.dataset)


# Functions even where no wildcard matters: Snakemake takes braces in a plain text for wildcards.


def options_of_scorer(wildcards):
    """Command-line options that a score depends on."""
    return scorer_options(STUDY)


def running_of_scorer(wildcards):
    """Command-line options that no score depends on."""
    return scorer_run_options(STUDY)


def plans_of_entry(wildcards):
    """Write the command-line option that describes the plans of an entry's rows."""
    return plan_options(STUDY, wildcards.entry)


def runs_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's rows."""
    return run_options(STUDY, wildcards.entry)


def samples_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's sampled rows."""
    return sampling_options(STUDY, wildcards.entry)


def random_set_runs_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's random sets."""
    return random_set_run_options(STUDY, wildcards.entry)


def random_sets_of_entry(wildcards):
    """Write the command-line options that describe the random sets of an entry's rows."""
    return random_set_options(STUDY, wildcards.entry)


# Directions, captures and interventions.


def pair_files(wildcards):
    """Return what was found of a model's pair, and the checkpoint whose tokenizer reads for both.

    The pair must not be `ancient`: Snakemake would then miss other reasons to rerun a job.
    """
    checkpoints = f"{RESULTS}/checkpoints/{wildcards.model}"
    return {"pair": f"{checkpoints}/pair.json", "tokenizer": ancient(f"{checkpoints}/pre")}


def direction_to_decompose(wildcards):
    """Return the file of the direction that an SVD direction is made from."""
    direction = config["directions"][wildcards.direction]["from"]
    return f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"


def name_of_shard(rule_name, shard):
    """Return the name of the rule that captures one shard's pieces."""
    return rule_name if SHARDS == 1 else f"{rule_name}_{shard}_of_{SHARDS}"


def pieces_of(shard, capture):
    """Return the files of a shard's pieces, by name; Snakemake deletes them once gathered."""
    return {
        f"piece_{piece + 1}": temp(
            f"{RESULTS}/activations/{{model}}/{capture}.piece-{piece + 1}.h5"
        )
        for piece in pieces_of_shard(PIECES, shard, SHARDS)
    }


def rows_of_entry(wildcards):
    """Return the settings of an entry's rows."""
    return STUDY.rows_by_entry[wildcards.entry].values()


def plan_files(wildcards):
    """Return the input files of the plans of an entry's rows."""
    files = {}
    for row in rows_of_entry(wildcards):
        if counts_layers(row):
            return folder("checkpoint", f"{RESULTS}/checkpoints/{wildcards.model}/pre")
        table = needs_of_plan(row)
        direction = STUDY.direction(wildcards.entry)
        if table != "nothing":
            files[table] = f"{RESULTS}/{table}/{wildcards.model}/{direction}.parquet"
        if (ranking := ranking_of(row)) is not None:
            files["ranking"] = f"{RESULTS}/rankings/{wildcards.model}/{ranking}.parquet"
        if "file" in row:
            files["file"] = local(row["file"])
    return files


def stage_to_change(wildcards):
    """Name the checkpoint that an entry's rows change."""
    return STUDY.stage(wildcards.entry)


def files_to_draw_from(wildcards):
    """Return the tables of neurons that the random sets of an entry's rows are drawn from."""
    path = f"{wildcards.model}/{STUDY.direction(wildcards.entry)}.parquet"
    return {table: f"{RESULTS}/{table}/{path}" for table in ("contributions", "neurons")}


def checkpoint_to_change(wildcards):
    """Return the checkpoint that an entry's rows change."""
    stage = STUDY.stage(wildcards.entry)
    return folder("checkpoint", f"{RESULTS}/checkpoints/{wildcards.model}/{stage}")


def donor_checkpoint(wildcards):
    """Return the checkpoint whose weights an entry's rows put into the one that they change."""
    rows = STUDY.rows_by_entry[wildcards.entry].items()
    stages = {donor_stage(name, row) for name, row in rows} - {None}
    path = f"{RESULTS}/checkpoints/{wildcards.model}"
    return folder("donor", f"{path}/{stages.pop()}") if stages else {}


def donor_as_option(wildcards, input):
    """Write the checkpoint of `donor_checkpoint` as a command-line option."""
    return write_options({"donor": input.donor}) if "donor" in input.keys() else ""


def direction_to_run_with(wildcards):
    """Return the file of the direction, if running an entry's rows needs it."""
    if not any(map(runs_with_direction, rows_of_entry(wildcards))):
        return {}
    direction = STUDY.direction(wildcards.entry)
    return {"direction": f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"}


def direction_as_option(wildcards, input):
    """Write the direction of `direction_to_run_with` as a command-line option."""
    return write_options({name: input[name] for name in direction_to_run_with(wildcards)})


def run_files(wildcards):
    """Return the input files of an entry's rows, besides checkpoints, plans and texts."""
    files = direction_to_run_with(wildcards)
    if wildcards.entry != "dpo":
        # All rows are compared on the text of the second checkpoint, which `dpo` itself writes.
        files["answers"] = f"{RESULTS}/generations/{wildcards.model}/dpo/challenge_prompts.jsonl"
    return files


def run_files_as_options(wildcards, input):
    """Write the files of `run_files` as command-line options."""
    return write_options({name: input[name] for name in run_files(wildcards)})


def plans_of_capture(wildcards):
    """Return the plans of the entry that a captured row belongs to."""
    entry = STUDY.entry_of(wildcards.intervention)
    return {"plans": f"{RESULTS}/plans/{wildcards.model}/{entry}.parquet"}


def positions_of_capture(wildcards):
    """Where a captured row acts in each forward pass of generation."""
    row = STUDY.interventions[wildcards.intervention]
    return positions_in_generation(row, config["generation"]["positions"])


def stage_to_export(wildcards):
    """Name the checkpoint that an exported row changes."""
    return STUDY.stage(STUDY.entry_of(wildcards.intervention))


def exported_files(wildcards):
    """Return the checkpoint that an exported row changes, and its direction and donor if any."""
    path = f"{RESULTS}/checkpoints/{wildcards.model}"
    files = folder("checkpoint", f"{path}/{stage_to_export(wildcards)}")
    name = wildcards.intervention
    if (donor := donor_stage(name, STUDY.interventions[name])) is not None:
        files |= folder("donor", f"{path}/{donor}")
    if runs_with_direction(STUDY.interventions[wildcards.intervention]):
        direction = STUDY.direction(STUDY.entry_of(wildcards.intervention))
        files["direction"] = f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"
    return files


def direction_to_export_as_option(wildcards, input):
    """Write the direction of `exported_files` as a command-line option."""
    return write_options({"direction": input.direction}) if "direction" in input.keys() else ""
