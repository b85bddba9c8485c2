"""Activation caches of both checkpoints, and of the second one on the first one's text.

The prompts of a capture are cut into PIECES. SHARDS jobs capture them, and one more job gathers
them. The pieces do not depend on SHARDS, so sharding never triggers reruns.
"""

ACTIVATIONS = expand(f"{RESULTS}/activations/{{model}}/{{stage}}.h5", model=MODELS, stage=STAGES)


for shard in range(1, SHARDS + 1):

    rule:
        name:
            name_of_shard("capture_activations", shard)
        input:
            unpack(pair_files),
            checkpoint=ancient(f"{RESULTS}/checkpoints/{{model}}/{{stage}}"),
            source=f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json",
            prompts=data_of_model("challenge_prompts"),
        output:
            **pieces_of(shard, "{stage}"),
        log:
            log_path("capture_activations", "{model}", f"{{stage}}.{shard}"),
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(tokens_of_capture),
            scripts=SCRIPTS,
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            dtype=setting("models", "{model}", "dtype"),
            attention=setting("models", "{model}", "attention"),
            pieces=PIECES,
            code=code_of("activations/capture_activations"),
        shell:
            "python {resources.scripts}/activations/capture_activations.py"
            " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
            " --source {input.source} --name {params.model} --prompts {input.prompts}"
            " --tokens {params.tokens} --positions {params.positions}"
            " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"

    benchmark_unless_cached(
        name_of_shard("capture_activations", shard),
        benchmark_path("capture_activations", "{model}", f"{{stage}}.{shard}"),
    )

    rule:
        name:
            name_of_shard("capture_crossed_activations", shard)
        input:
            unpack(pair_files),
            checkpoint=ancient(f"{RESULTS}/checkpoints/{{model}}/pre"),
            checkpoint_post=ancient(f"{RESULTS}/checkpoints/{{model}}/post"),
            source_pre=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
            source_post=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
            prompts=data_of_model("challenge_prompts"),
        output:
            **pieces_of(shard, "crossed"),
        log:
            log_path("capture_crossed_activations", f"{{model}}.{shard}"),
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(tokens_of_crossed_capture),
            scripts=SCRIPTS,
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            dtype=setting("models", "{model}", "dtype"),
            attention=setting("models", "{model}", "attention"),
            pieces=PIECES,
            code=code_of("activations/capture_crossed_activations"),
        shell:
            "python {resources.scripts}/activations/capture_crossed_activations.py"
            " --checkpoint-pre {input.checkpoint} --checkpoint-post {input.checkpoint_post}"
            " --source-pre {input.source_pre} --source-post {input.source_post}"
            " --pair {input.pair}"
            " --name {params.model} --prompts {input.prompts} --tokens {params.tokens}"
            " --positions {params.positions} --dtype {params.dtype}"
            " --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"

    benchmark_unless_cached(
        name_of_shard("capture_crossed_activations", shard),
        benchmark_path("capture_crossed_activations", f"{{model}}.{shard}"),
    )


rule gather_activations:
    input:
        expand(
            f"{RESULTS}/activations/{{{{model}}}}/{{{{capture}}}}.piece-{{piece}}.h5",
            piece=range(1, PIECES + 1),
        ),
    output:
        f"{RESULTS}/activations/{{model}}/{{capture}}.h5",
    log:
        log_path("gather_activations", "{model}", "{capture}"),
    benchmark:
        benchmark_path("gather_activations", "{model}", "{capture}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("activations/gather_activations"),
    shell:
        "python {resources.scripts}/activations/gather_activations.py --pieces {input}"
        " --output {output} 2> {log}"
