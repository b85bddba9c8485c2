"""Activation caches of both checkpoints, of the ablated and the crossed; the residual stream."""

ACTIVATIONS = expand(f"{RESULTS}/activations/{{model}}/{{stage}}.h5", model=MODELS, stage=STAGES)


rule capture_activations:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/{{stage}}",
        source=f"{RESULTS}/checkpoints/{{model}}/{{stage}}.source.json",
        prompts=f"{DATA}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/activations/{{model}}/{{stage}}.h5",
    log:
        f"{RESULTS}/logs/capture_activations/{{model}}/{{stage}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/capture_activations/{{model}}/{{stage}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=30),
    params:
        tokens=config["generation"]["tokens"],
        positions=config["activations"]["positions"],
        plan="",
        dtype=dtype_of,
        attention=attention_of,
        code=code_of("capture_activations"),
    shell:
        "python workflow_scripts/capture_activations.py --checkpoint {input.checkpoint} --source {input.source}"
        " --name {wildcards.model} --prompts {input.prompts} --tokens {params.tokens}"
        " --positions {params.positions} {params.plan} --dtype {params.dtype} --attention {params.attention} --gpus {resources.gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


use rule capture_activations as capture_ablated_activations with:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
        prompts=f"{DATA}/challenge_prompts.jsonl",
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
    output:
        f"{RESULTS}/activations/{{model}}/{{intervention}}.h5",
    log:
        f"{RESULTS}/logs/capture_activations/{{model}}/{{intervention}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/capture_activations/{{model}}/{{intervention}}.tsv"
    params:
        tokens=config["generation"]["tokens"],
        positions=config["activations"]["positions"],
        plan=lambda wildcards: options(
            {
                "plan": f"{RESULTS}/plans/{wildcards.model}/{wildcards.intervention}.parquet",
                "plan_positions": config["generation"]["positions"],
            }
        ),
        dtype=dtype_of,
        attention=attention_of,
        code=code_of("capture_activations"),


rule capture_crossed_activations:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        checkpoint_post=f"{RESULTS}/checkpoints/{{model}}/post",
        source_pre=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
        source_post=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
        prompts=f"{DATA}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/activations/{{model}}/crossed.h5",
    log:
        f"{RESULTS}/logs/capture_crossed_activations/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/capture_crossed_activations/{{model}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **(model_resources(minutes=40) | {"mem_mb": both_models_mb}),
    params:
        tokens=config["generation"]["tokens"],
        positions=config["activations"]["positions"],
        dtype=dtype_of,
        attention=attention_of,
        code=code_of("capture_crossed_activations"),
    shell:
        "python workflow_scripts/capture_crossed_activations.py"
        " --checkpoint-pre {input.checkpoint} --checkpoint-post {input.checkpoint_post}"
        " --source-pre {input.source_pre} --source-post {input.source_post}"
        " --name {wildcards.model} --prompts {input.prompts} --tokens {params.tokens}"
        " --positions {params.positions} --dtype {params.dtype}"
        " --attention {params.attention} --gpus {resources.gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


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
        code=code_of("compare_residuals"),
    shell:
        "python workflow_scripts/compare_residuals.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --output {output.layers}"
        " --prompts-output {output.prompts} --changes-output {output.changes} 2> {log}"
