"""Activation caches of both checkpoints, of the ablated and the crossed; the residual stream.

The prompts of a capture are cut into PIECES; SHARDS jobs share them, and one more gathers them. The
pieces stay the same however many share them, so another number of shards makes nothing stale.
"""

ACTIVATIONS = expand(f"{RESULTS}/activations/{{model}}/{{stage}}.h5", model=MODELS, stage=STAGES)


for shard in range(1, SHARDS + 1):

    rule:
        name:
            name_of_shard("capture_activations", shard)
        input:
            unpack(captured_files),
        output:
            **pieces_of(shard, "{capture}"),
        log:
            f"{RESULTS}/logs/capture_activations/{{model}}/{{capture}}.{shard}.log",
        benchmark:
            f"{RESULTS}/benchmarks/capture_activations/{{model}}/{{capture}}.{shard}.tsv"
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(minutes=30),
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            plan=captured_under,
            dtype=dtype_of,
            attention=attention_of,
            pieces=PIECES,
            code=code_of("activations/capture_activations"),
        shell:
            "python {SCRIPTS}/activations/capture_activations.py --checkpoint {input.checkpoint}"
            " --source {input.source} --name {params.model} --prompts {input.prompts}"
            " --tokens {params.tokens} --positions {params.positions} {params.plan}"
            " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"

    rule:
        name:
            name_of_shard("capture_crossed_activations", shard)
        input:
            checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
            checkpoint_post=f"{RESULTS}/checkpoints/{{model}}/post",
            source_pre=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
            source_post=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
            prompts=f"{DATA}/challenge_prompts.jsonl",
        output:
            **pieces_of(shard, "crossed"),
        log:
            f"{RESULTS}/logs/capture_crossed_activations/{{model}}.{shard}.log",
        benchmark:
            f"{RESULTS}/benchmarks/capture_crossed_activations/{{model}}.{shard}.tsv"
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(minutes=40),
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            dtype=dtype_of,
            attention=attention_of,
            pieces=PIECES,
            code=code_of("activations/capture_crossed_activations"),
        shell:
            "python {SCRIPTS}/activations/capture_crossed_activations.py"
            " --checkpoint-pre {input.checkpoint} --checkpoint-post {input.checkpoint_post}"
            " --source-pre {input.source_pre} --source-post {input.source_post}"
            " --name {params.model} --prompts {input.prompts} --tokens {params.tokens}"
            " --positions {params.positions} --dtype {params.dtype}"
            " --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"


rule gather_activations:
    input:
        expand(
            f"{RESULTS}/activations/{{{{model}}}}/{{{{capture}}}}.piece-{{piece}}.h5",
            piece=range(1, PIECES + 1),
        ),
    output:
        f"{RESULTS}/activations/{{model}}/{{capture}}.h5",
    log:
        f"{RESULTS}/logs/gather_activations/{{model}}/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gather_activations/{{model}}/{{capture}}.tsv"
    wildcard_constraints:
        capture=match_any([*STAGES, *STUDY.interventions, "crossed"]),
    conda:
        ENVIRONMENT
    params:
        code=code_of("activations/gather_activations"),
    shell:
        "python {SCRIPTS}/activations/gather_activations.py --pieces {input} --output {output} 2> {log}"


rule compare_residuals:
    input:
        checkpoint_pre=f"{RESULTS}/checkpoints/{{model}}/pre",
        checkpoint_post=f"{RESULTS}/checkpoints/{{model}}/post",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        layers=f"{RESULTS}/residuals/{{model}}/layers.csv",
        prompts=f"{RESULTS}/residuals/{{model}}/prompts.csv",
        changes=f"{RESULTS}/residuals/{{model}}/value_changes.csv",
    log:
        f"{RESULTS}/logs/compare_residuals/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_residuals/{{model}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        # A few layers of value vectors, in float64.
        mem_mb=lambda wildcards, input: 2000 + checkpoint_mb(input.checkpoint_pre) // 5,
    params:
        code=code_of("neurons/compare_residuals"),
    shell:
        "python {SCRIPTS}/neurons/compare_residuals.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --output {output.layers}"
        " --prompts-output {output.prompts} --changes-output {output.changes} 2> {log}"
