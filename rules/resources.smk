"""Memory, time, GPUs and cores that jobs ask for; none of these ever reruns a job."""

GPUS = visible_gpus() if config["compute"]["device"] != "cpu" else 0

# By default jobs share the GPUs of this machine, and each takes free ones.
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


def gpus_of(count):
    """Return the number of GPUs to request: 0 on a machine without GPUs."""
    return count if GPUS or config["compute"]["device"] == "cuda" else 0


def gpus_of_model(wildcards):
    """Return the number of GPUs for the job's model: 0 on a machine without GPUs."""
    return gpus_of(config["models"][wildcards.model]["gpus"])


PROGRAM_MB = 550
"""Of a program that has loaded torch and transformers, in MB."""
LARGE_PROGRAM_MB = 750
"""Of one that has loaded more, such as trl, in MB."""
LONGER = 1.5
"""Tokens of the longest prompts, as a multiple of the mean."""
GAPS = 1.25
"""Memory of keys and values, as a multiple of their size: reading leaves gaps between them, which a
second model's keys and values fill."""
LEAST_MB = 4000
"""What jobs without an estimate ask for under Slurm, in MB."""
TRAINING_READS = 5
"""A text that is trained on costs as much as reading it so often: forwards, backwards, and by the
reference, and a pair's prompt comes twice."""
SPARE = 1.15
"""Asked for in place of what was measured: a scheduler ends jobs that take more."""


def loaded_checkpoints(input):
    """Return the checkpoints that a job loads: one, or two if it needs both."""
    names = ("checkpoint", "checkpoint_pre", "checkpoint_post", "donor")
    return [str(input.get(name)) for name in names if input.get(name)]


def continued_tokens(path):
    """Estimate the tokens of a file of prompts and of what a model writes after them."""
    return count_tokens(path) + count_rows(path) * config["generation"]["tokens"]


def texts_to_read(input):
    """Return the file of the texts that a job's model reads without continuing them."""
    return input.get("comments") or input.get("pairs") or input.text


def tokens_of_texts(wildcards, input):
    """Estimate the tokens of the texts that a job's model reads."""
    return count_tokens(texts_to_read(input))


def tokens_of_capture(wildcards, input):
    """Estimate the tokens that a shard's model reads."""
    return continued_tokens(input.prompts) / SHARDS


def tokens_of_crossed_capture(wildcards, input):
    """Estimate a shard's tokens: both models read the text, and the second the first's inputs."""
    return 3 * continued_tokens(input.prompts) / SHARDS


def tokens_of_both_models(wildcards, input):
    """Estimate the tokens of the prompts and continuations that both models read."""
    return 2 * continued_tokens(input.prompts)


def tokens_of_autoencoder(wildcards, input):
    """Estimate the tokens of the texts whose states an autoencoder is trained on."""
    texts = STUDY.autoencoders[wildcards.model][wildcards.autoencoder]["texts"]
    return count_tokens(input.text) * min(1, texts / max(1, count_rows(input.text)))


def tokens_of_runs(wildcards, input):
    """Estimate the tokens of an entry's rows; a row with a source model has them read twice."""
    prompts, windows = config["faithfulness"]["prompts"], config["faithfulness"]["windows"]
    compared = continued_tokens(input.challenge) * min(
        1, prompts / max(1, count_rows(input.challenge))
    )
    compared += windows * config["perplexity"]["window"]
    of_row = compared + count_tokens(input.text)
    of_row += continued_tokens(input.challenge) + continued_tokens(input.references)
    readers = sum(1 if source_stage(row) is None else 2 for row in rows_of_entry(wildcards))
    # Both unchanged models read what is compared.
    return readers * of_row + 2 * compared


def tokens_of_random_sets(wildcards, input):
    """Estimate the tokens of all random sets of an entry's rows."""
    draws = config["interventions"][wildcards.entry]["random_sets"]
    n_rows = sum("random_sets" in row for row in rows_of_entry(wildcards))
    return n_rows * draws * continued_tokens(input.challenge)


def tokens_of_samples(wildcards, input):
    """Estimate the tokens of an entry's sampled rows."""
    n_rows = len(STUDY.sampled_rows(wildcards.entry))
    return n_rows * config["sampling"]["per_prompt"] * continued_tokens(input.challenge)


def prompts_at_once(longest):
    """Return how many prompts are continued at once; a GPU has its own memory.

    longest: tokens of the longest ones with their continuations.
    """
    asked = config["compute"]["batch_size"]
    if asked != "auto":
        return asked
    return max(1, min(BATCH_ON_CPU, int(CONTINUED_ON_CPU // longest)))


def texts_mb(wildcards, input, dtype):
    """Return the memory of texts that are read at once, or of the longest alone."""
    settings = config["directions"].get(wildcards.get("direction"), {})
    longest = max(TOKENS_AT_ONCE, settings.get("max_tokens") or 0)
    return activations_mb(loaded_checkpoints(input)[0], longest, dtype)


def continuations_mb(wildcards, input, dtype):
    """Return the memory of a batch of the longest prompts, which are continued."""
    path = input.get("prompts") or input.challenge
    n_prompts = max(1, count_rows(path))
    of_prompt = LONGER * count_tokens(path) / n_prompts
    longest = of_prompt + config["generation"]["tokens"]
    n_at_once = min(prompts_at_once(longest), n_prompts)
    first = loaded_checkpoints(input)[0]
    return (
        activations_mb(first, n_at_once * of_prompt, dtype)
        + GAPS * keys_values_mb(first, n_at_once * longest, dtype)
        + logits_mb(first, n_at_once, dtype)
        + captured_mb(first, n_at_once)
    )


def windows_mb(wildcards, input, dtype):
    """Return the memory of windows of text, and of a batch of prompts that were continued before.

    Memory that was freed in small parts stays with the program.
    """
    changed, window = loaded_checkpoints(input)[0], config["perplexity"]["window"]
    return window_logits_mb(changed, window, dtype) + continuations_mb(wildcards, input, dtype)


def model_resources(tokens, batch_mb=continuations_mb):
    """Return the resources of jobs that run a model.

    tokens: function of the job's wildcards and input that estimates how many tokens models read.
    batch_mb: function of these and of a number format that estimates the memory of what is read at
    once. A job of an entry runs each of its rows. Those whose source is the changed model itself
    load it twice, and those that put in the other checkpoint's weights keep the model's own
    meanwhile.
    """

    def mem_mb(wildcards, input):
        dtype = config["models"][wildcards.model]["dtype"]
        checkpoints = loaded_checkpoints(input)
        models = sum(model_mb(checkpoint, dtype) for checkpoint in checkpoints)
        rows = STUDY.rows_by_entry[wildcards.entry].items() if "entry" in wildcards.keys() else []
        twice = (
            source_stage(row) == STUDY.stage(wildcards.entry) or donor_stage(name, row) is not None
            for name, row in rows
        )
        if any(twice):
            models += model_mb(checkpoints[0], dtype)
        asked = int(SPARE * (PROGRAM_MB + models + batch_mb(wildcards, input, dtype)))
        # CUDA's libraries take some GB beside the model.
        return max(LEAST_MB, asked) if gpus_of_model(wildcards) else asked

    def runtime(wildcards, input):
        model = config["models"][wildcards.model]
        return reading_minutes(
            count_weights(loaded_checkpoints(input)[0]),
            tokens(wildcards, input),
            model["dtype"],
            config["compute"]["threads"],
            gpus_of_model(wildcards),
        )

    return {
        "gpu": gpus_of_model,
        # Not called `gpus`: Slurm's plugin would request GPUs for it, even for jobs on the CPU.
        "model_gpus": setting("models", "{model}", "gpus"),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
        "batch_size": config["compute"]["batch_size"],
    }


def training_resources(texts):
    """Return the resources of jobs that tune a model on one GPU; texts: name of their input."""

    def mem_mb(wildcards, input):
        model = config["models"][wildcards.model]
        tuned = "float64" if model["dtype"] == "float64" else "float32"
        # Weights, gradients and the optimiser's averages; and the reference, as it is run.
        models = 3 * model_mb(input.checkpoint, tuned) + model_mb(input.checkpoint, model["dtype"])
        tokens = 2 * model["post"]["batch_size"] * (model["post"].get("max_tokens") or 512)
        # Logits, their gradient, and one copy more.
        logits = 3 * logits_mb(input.checkpoint, tokens, tuned)
        return int(SPARE * (LARGE_PROGRAM_MB + models + logits))

    def runtime(wildcards, input):
        model, path = config["models"][wildcards.model], input[texts]
        n_texts = model["post"]["steps"] * model["post"]["batch_size"]
        n_tokens = n_texts * count_tokens(path) / max(1, count_rows(path))
        dtype = "float64" if model["dtype"] == "float64" else "float32"
        return reading_minutes(
            count_weights(input.checkpoint),
            TRAINING_READS * n_tokens,
            dtype,
            config["compute"]["threads"],
            gpus_of(1),
        )

    return {
        "gpu": gpus_of(1),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
    }


def gpus_of_scorer(wildcards):
    """Return the number of GPUs for the job's scorer: 0 if it runs no model."""
    return gpus_of(1) if runs_a_model(settings_of_scorer(wildcards)) else 0


def threads_of_scorer(wildcards):
    """Return the number of threads for the job's scorer."""
    return config["compute"]["threads"] if runs_a_model(settings_of_scorer(wildcards)) else 1


def scoring_mb(wildcards, input):
    """Return the memory of the job's scorer: the profile's default, or more for a large model."""
    scorer = settings_of_scorer(wildcards)
    if not runs_a_model(scorer):
        return LEAST_MB
    model = model_mb(given_path(key_of_scorer(wildcards)), scorer.get("dtype", "float32"))
    return max(LEAST_MB, int(SPARE * (LARGE_PROGRAM_MB + model)))


def exporting_mb(wildcards, input):
    """Return the memory to change a checkpoint's weights, and to save them."""
    dtype = config["models"][wildcards.model]["dtype"]
    models = [3 * model_mb(input.checkpoint, dtype)]
    models += [model_mb(input.donor, dtype) for name in input.keys() if name == "donor"]
    return LARGE_PROGRAM_MB + sum(models)


def linking_mb(wildcards, input):
    """Return the memory to link a checkpoint; old weights are read and converted."""
    return 1000 + 3 * old_weights_mb(given_folder(wildcards, input))


def merging_mb(wildcards, input):
    """Return the memory to merge an adapter in float32."""
    return 2000 + 5 * checkpoint_mb(input.checkpoint)


def state_dict_mb(wildcards, input):
    """Return the memory to read a state dict and build its model."""
    return 2000 + 3 * Path(input.path).stat().st_size // 1_000_000


def gguf_mb(wildcards, input):
    """Return the memory to read a GGUF file, of 4 bits a weight or more, as float32 twice."""
    return 2000 + 16 * Path(input.path).stat().st_size // 1_000_000


def weight_changes_mb(wildcards, input):
    """Return the memory for two copies of the largest matrix, the embedding, in float64."""
    return int(SPARE * (LARGE_PROGRAM_MB + 3 * embedding_mb(input.checkpoint_pre, "float64")))


def weight_changes_minutes(wildcards, input):
    """Return the time to decompose all matrices; one of 4096 × 14336 takes 20 s on a core."""
    return 20 + checkpoint_mb(input.checkpoint_pre) // 100


def value_vectors_mb(wildcards, input):
    """Return the memory for a few layers of value vectors in float64."""
    return 2000 + checkpoint_mb(input.checkpoint_pre) // 5
