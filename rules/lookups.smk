"""Inputs and options of jobs that depend on the study: functions of the job's wildcards."""

SOURCES = [
    *expand(f"{DATA}/{{dataset}}.source.json", dataset=STUDY.needed_data),
    *expand(f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json", model=MODELS, stage=STAGES),
    *[f"{RESULTS}/chat/{model}/{dataset}.source.json" for model, dataset in STUDY.rendered_data],
    # A merged checkpoint's own source file does not name the adapter's origin.
    *expand(
        f"{FETCHED}/{{entry}}.source.json",
        entry=[
            key
            for key, entry in STUDY.on_hub.items()
            if entry["kind"] == "adapter" or runs_a_model(entry)
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
    """Return the path of a study's entry: its own, that of the folder fetched from the hub, or that
    of another model's checkpoint."""
    settings = STUDY.entries[entry]
    if settings["kind"] == "same_as":
        return f"{RESULTS}/checkpoints/{settings['model']}/{settings['stage']}"
    return f"{FETCHED}/{entry}" if entry in STUDY.on_hub else settings["path"]


def path_of_data(wildcards):
    """Return a data set's files."""
    return [local(path) for path in STUDY.data_paths(wildcards.dataset)]


def data_of_model(dataset):
    """Return a function of a job's wildcards: the data set as the job's model reads it.

    A model with `chat` reads the texts that its chat template renders.
    """

    def look_up(wildcards):
        model = wildcards.model
        folder = f"{RESULTS}/chat/{model}" if STUDY.renders(model, dataset) else DATA
        return f"{folder}/{dataset}.jsonl"

    return look_up


def checkpoint_of_template(wildcards):
    """Return the checkpoint whose chat template renders a model's texts."""
    stage = config["models"][wildcards.model]["chat"]["template"]
    return folder("checkpoint", f"{RESULTS}/checkpoints/{wildcards.model}/{stage}")


def path_of_direction(wildcards):
    """Return the user's file of a direction."""
    return local(config["directions"][wildcards.direction]["path"])


def entry_of_checkpoint(wildcards):
    """Return a checkpoint's key in the study."""
    return ".".join(["models", *Path(wildcards.checkpoint).parts])


def given_checkpoint(wildcards):
    """Return a given checkpoint's files, and its source file if it is fetched or another model's."""
    entry = entry_of_checkpoint(wildcards)
    path = given_path(entry)
    if entry in STUDY.on_hub or STUDY.entries[entry]["kind"] == "same_as":
        return {"folder": ancient(path), "source": f"{path}.source.json"}
    return given_folder_files("folder", path)


def given_folder(wildcards, input):
    """Return a given checkpoint's folder."""
    path = given_path(entry_of_checkpoint(wildcards))
    return input.folder if is_made(path) else path


def given_checkpoint_options(wildcards, input):
    """Write the command-line options for a given checkpoint's folder and source file."""
    options = {"path": given_folder(wildcards, input)}
    if "source" in input.keys():
        options["source"] = input.source
    if STUDY.checkpoint(wildcards.checkpoint)["kind"] == "same_as":
        options["same_as"] = STUDY.shared_checkpoint(wildcards.checkpoint)
    return write_options(options)


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


def key_of_scorer(wildcards):
    """Return the key of a job's scorer in the study."""
    further = "scorer" in wildcards.keys()
    return f"further_scorers.{wildcards.scorer}" if further else KEY_OF_FIRST_SCORER


def settings_of_scorer(wildcards):
    """Return the settings of a job's scorer."""
    return STUDY.scorers[key_of_scorer(wildcards)]


def scorer_files(wildcards):
    """Return the scorer's input files, besides the continuations."""
    scorer = settings_of_scorer(wildcards)
    if runs_a_model(scorer):
        folder_files = given_folder_files(scorer["kind"], given_path(key_of_scorer(wildcards)))
        return folder_files | messages_of_scorer(wildcards)
    return lexicon_of_scorer(wildcards)


def messages_of_scorer(wildcards):
    """Return the prompts as messages and as texts, if the scorer is a guard and they are rendered.

    A guard judges the answer to a message, not to what a chat template makes of it.
    """
    is_guard = settings_of_scorer(wildcards)["kind"] == "guard"
    if not is_guard or not STUDY.renders(wildcards.model, "challenge_prompts"):
        return {}
    return {
        "messages": f"{DATA}/challenge_prompts.jsonl",
        "rendered": f"{RESULTS}/chat/{wildcards.model}/challenge_prompts.jsonl",
    }


def lexicon_of_scorer(wildcards):
    """Return the words that a job's scorer finds in texts, if it is a lexicon."""
    lexicon = {"lexicon": f"{DATA}/lexicon.jsonl"}
    return lexicon if settings_of_scorer(wildcards)["kind"] == "lexicon" else {}


def scorer_files_as_options(wildcards, input):
    """Write the scorer's files and the continuations as command-line options."""
    files = {"continuations": input.continuations}
    for name in ("lexicon", "messages", "rendered"):
        if name in input.keys():
            files[name] = input[name]
    scorer = settings_of_scorer(wildcards)
    if runs_a_model(scorer):
        path, kind = given_path(key_of_scorer(wildcards)), scorer["kind"]
        files[kind] = input[kind] if is_made(path) else path
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


def words_to_trace(wildcards):
    """Write the words whose probability is traced as a command-line option."""
    return write_options({"words": config["token_probabilities"]["words"]})


def options_of_scorer(wildcards):
    """Command-line options that a score depends on."""
    return scorer_options(STUDY, key_of_scorer(wildcards))


def running_of_scorer(wildcards):
    """Command-line options that no score depends on."""
    return scorer_run_options(STUDY, key_of_scorer(wildcards))


# Directions and captures.


def pair_files(wildcards):
    """Return what was found of a model's pair, and the checkpoint whose tokenizer reads for both.

    The pair must not be `ancient`: Snakemake would then miss other reasons to rerun a job.
    """
    checkpoints = f"{RESULTS}/checkpoints/{wildcards.model}"
    return {"pair": f"{checkpoints}/pair.json", "tokenizer": ancient(f"{checkpoints}/pre")}


def file_of_words(wildcards):
    """Return the user's file of the words that a direction points to, if it has one."""
    direction = config["directions"][wildcards.direction]
    return {"words_file": local(direction["words_file"])} if "words_file" in direction else {}


def words_of_direction(wildcards, input):
    """Write both lists of words of a direction as command-line options."""
    words = dict(config["directions"][wildcards.direction])
    if "words_file" in words:
        words["words_file"] = input.words_file
    return write_options(words)


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


def path_of_autoencoder(wildcards):
    """Return the folder of a model's sparse autoencoder: the user's, or where it is trained."""
    model, name = wildcards.model, wildcards.autoencoder
    return STUDY.autoencoders[model][name].get("path", f"{RESULTS}/autoencoders/{model}/{name}")


def files_of_autoencoder(wildcards):
    """Return the files of a model's sparse autoencoder."""
    return given_folder_files("autoencoder", path_of_autoencoder(wildcards))


def folder_of_autoencoder(wildcards, input):
    """Return the folder of a model's sparse autoencoder."""
    path = path_of_autoencoder(wildcards)
    return input.autoencoder if is_made(path) else path


def models_of_seeds(wildcards):
    """Name a recipe's model and those that repeat it with other seeds."""
    return STUDY.seeds_by_recipe[wildcards.model]


def tables_of_seeds(wildcards):
    """Return the tables of interventions of a recipe's models."""
    return expand(f"{RESULTS}/tables/{{seed}}.csv", seed=models_of_seeds(wildcards))


def tests_of_seeds(wildcards):
    """Return the tables of paired tests of a recipe's models."""
    return expand(f"{RESULTS}/tables/{{seed}}.tests.csv", seed=models_of_seeds(wildcards))


def groups_of_seeds(wildcards):
    """Return the tables of groups of a recipe's models."""
    return expand(f"{RESULTS}/groups/{{seed}}/{DIRECTION}.csv", seed=models_of_seeds(wildcards))
