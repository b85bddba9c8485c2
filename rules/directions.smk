"""The directions in the residual stream."""


rule train_probe:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        comments=f"{DATA}/labelled_comments.jsonl",
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        f"{RESULTS}/logs/train_probe/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_probe/{{model}}/{{direction}}.tsv"
    wildcard_constraints:
        direction=one_of(STUDY.names_with("directions", "probe")),
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=20),
    params:
        validation_share=lambda wildcards: config["directions"][wildcards.direction][
            "validation_share"
        ],
        dtype=dtype_of,
        seed=SEED,
        code=code_of("train_probe"),
    shell:
        "python workflow_scripts/train_probe.py --checkpoint {input.checkpoint}"
        " --comments {input.comments} --validation-share {params.validation_share}"
        " --seed {params.seed} --dtype {params.dtype} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule import_direction:
    input:
        lambda wildcards: config["directions"][wildcards.direction]["path"],
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        f"{RESULTS}/logs/import_direction/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_direction/{{model}}/{{direction}}.tsv"
    wildcard_constraints:
        direction=one_of(STUDY.names_with("directions", "file")),
    conda:
        ENVIRONMENT
    params:
        code=code_of("import_direction"),
    shell:
        "python workflow_scripts/import_direction.py --path {input} --output {output} 2> {log}"
