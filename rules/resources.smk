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


PROGRAM_MB = 750
"""Of a program that has loaded torch and transformers, and of a batch of texts, in MB."""
SPARE = 1.15
"""Asked for in place of what was measured: a scheduler ends jobs that take more."""


def loaded_checkpoints(input):
    """Return the checkpoints that a job loads: one, or two if it needs both."""
    names = ("checkpoint", "checkpoint_pre", "checkpoint_post", "donor")
    return [str(input.get(name)) for name in names if input.get(name)]


def model_resources(minutes, text_at_once=0):
    """Return the resources of jobs that run a model; minutes: the time for a tiny model.

    text_at_once: tokens of text that are read at once, with all their logits in memory. A job of an
    entry runs each of its rows. Those whose source is the changed model itself load it twice, and
    those that put in the other checkpoint's weights keep the model's own meanwhile.
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
        logits = logits_mb(checkpoints[0], text_at_once, dtype)
        return int(SPARE * (PROGRAM_MB + models + logits))

    def runtime(wildcards, input):
        models = sum(map(checkpoint_mb, loaded_checkpoints(input)))
        n_rows = len(rows_of_entry(wildcards)) if "entry" in wildcards.keys() else 1
        return minutes + n_rows * (models // 200) + 5 * (n_rows - 1)

    return {
        "gpu": gpus_of_model,
        # Not called `gpus`: Slurm's plugin would request GPUs for it, even for jobs on the CPU.
        "model_gpus": setting("models", "{model}", "gpus"),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
        "batch_size": config["compute"]["batch_size"],
    }


def training_resources():
    """Return the resources of jobs that tune a model on one GPU."""

    def mem_mb(wildcards, input):
        model = config["models"][wildcards.model]
        tuned = "float64" if model["dtype"] == "float64" else "float32"
        # Weights, gradients and the optimiser's averages; and the reference, as it is run.
        models = 3 * model_mb(input.checkpoint, tuned) + model_mb(input.checkpoint, model["dtype"])
        tokens = 2 * model["post"]["batch_size"] * (model["post"].get("max_tokens") or 512)
        # Logits, their gradient, and one copy more.
        logits = 3 * logits_mb(input.checkpoint, tokens, tuned)
        return int(SPARE * (PROGRAM_MB + models + logits))

    def runtime(wildcards, input):
        return 60 + checkpoint_mb(input.checkpoint) // 20

    return {
        "gpu": gpus_of(1),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
    }


def exporting_mb(wildcards, input):
    """Return the memory to change a checkpoint's weights, and to save them."""
    dtype = config["models"][wildcards.model]["dtype"]
    models = [3 * model_mb(input.checkpoint, dtype)]
    models += [model_mb(input.donor, dtype) for name in input.keys() if name == "donor"]
    return PROGRAM_MB + sum(models)


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
    return int(SPARE * (PROGRAM_MB + 3 * embedding_mb(input.checkpoint_pre, "float64")))


def weight_changes_minutes(wildcards, input):
    """Return the time to decompose all matrices; one of 4096 × 14336 takes 20 s on a core."""
    return 20 + checkpoint_mb(input.checkpoint_pre) // 100


def value_vectors_mb(wildcards, input):
    """Return the memory for a few layers of value vectors in float64."""
    return 2000 + checkpoint_mb(input.checkpoint_pre) // 5
