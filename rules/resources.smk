"""Memory, time, GPUs and cores that jobs ask for; none of these ever reruns a job."""

GPUS = visible_gpus() if config["compute"]["device"] != "cpu" else 0

# What the machine has, unless the user says so: a job takes a free GPU of its own.
if GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


def gpus_of(count):
    """GPUs to ask Snakemake for: none on a machine without one."""
    return count if GPUS or config["compute"]["device"] == "cuda" else 0


def gpus_of_model(wildcards):
    """GPUs that the job's model is spread over, or none on a machine without one."""
    return gpus_of(config["models"][wildcards.model]["gpus"])


def models_mb(input):
    """Size of the checkpoints that a job holds at once: its own, and a second one if it has one."""
    names = ("checkpoint", "checkpoint_post", "source_checkpoint")
    return sum(checkpoint_mb(input.get(name)) for name in names if input.get(name))


def model_resources(minutes):
    """Resources of jobs that run a model; minutes: without what a large model takes besides."""

    def mem_mb(wildcards, input):
        return 2000 + 3 * models_mb(input)

    def runtime(wildcards, input):
        return minutes + models_mb(input) // 200

    return {
        "gpu": gpus_of_model,
        # Not `gpus`: Slurm's plugin takes that for a request, which a job on the CPU must not make.
        "model_gpus": setting("models", "{model}", "gpus"),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
        "batch_size": config["compute"]["batch_size"],
    }


def training_resources():
    """Resources of jobs that tune a model, on one GPU; weights and optimiser in float32."""

    def mem_mb(wildcards, input):
        return 4000 + 10 * checkpoint_mb(input.checkpoint)

    def runtime(wildcards, input):
        return 60 + checkpoint_mb(input.checkpoint) // 20

    return {
        "gpu": gpus_of(1),
        "mem_mb": mem_mb,
        "runtime": runtime,
        "device": config["compute"]["device"],
    }


def linking_mb(wildcards, input):
    """Memory to link a checkpoint: only old weights are read, to be converted."""
    return 1000 + 3 * old_weights_mb(given_folder(wildcards, input))


def merging_mb(wildcards, input):
    """Memory to merge an adapter, in float32."""
    return 2000 + 5 * checkpoint_mb(input.checkpoint)


def state_dict_mb(wildcards, input):
    """Memory to read a state dict and build its model."""
    return 2000 + 3 * Path(input.path).stat().st_size // 1_000_000


def value_vectors_mb(wildcards, input):
    """Memory for a few layers of value vectors, in float64."""
    return 2000 + checkpoint_mb(input.checkpoint_pre) // 5
