"""Activation caches: of both checkpoints, and of the first one under an ablation for figure 1a."""

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
