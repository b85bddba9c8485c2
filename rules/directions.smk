"""The directions in the residual stream, and the tokens that they speak for."""

LOGIT_LENSES = expand(
    f"{RESULTS}/logit_lens/{{model}}/{{direction}}.{{extension}}",
    model=MODELS,
    direction=config["directions"],
    extension=["csv", "md", "html"],
)


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
        direction=match_any(STUDY.names_with("directions", "probe")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=20),
    params:
        recipe=lambda wildcards: options(config["directions"][wildcards.direction]),
        dtype=dtype_of,
        attention=attention_of,
        seed=SEED,
        program=path_of("directions/train_probe"),
        code=code_of("directions/train_probe"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --comments {input.comments} {params.recipe}"
        " --seed {params.seed} --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
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
        direction=match_any(STUDY.names_with("directions", "file")),
    cache: CACHE
    conda:
        ENVIRONMENT
    params:
        program=path_of("directions/import_direction"),
        code=code_of("directions/import_direction"),
    shell:
        "python {params.program} --path {input:q} --output {output} 2> {log}"


rule compute_embedding_direction:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        f"{RESULTS}/logs/compute_embedding_direction/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_embedding_direction/{{model}}/{{direction}}.tsv"
    wildcard_constraints:
        direction=match_any(STUDY.names_with("directions", "embedding")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    params:
        words=lambda wildcards: options(config["directions"][wildcards.direction]),
        program=path_of("directions/compute_embedding_direction"),
        code=code_of("directions/compute_embedding_direction"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " {params.words} --threads {threads} --output {output} 2> {log}"


rule compute_svd_direction:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        direction=lambda wildcards: direction_file(
            config["directions"][wildcards.direction]["from"]
        ),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        f"{RESULTS}/logs/compute_svd_direction/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_svd_direction/{{model}}/{{direction}}.tsv"
    wildcard_constraints:
        direction=match_any(STUDY.names_with("directions", "svd")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    params:
        shape=lambda wildcards: options(
            {
                key: config["directions"][wildcards.direction][key]
                for key in ("neurons", "components")
            }
        ),
        program=path_of("directions/compute_svd_direction"),
        code=code_of("directions/compute_svd_direction"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --direction {input.direction} {params.shape} --threads {threads}"
        " --output {output} 2> {log}"


rule tabulate_logit_lens:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        csv=f"{RESULTS}/logit_lens/{{model}}/{{direction}}.csv",
        markdown=f"{RESULTS}/logit_lens/{{model}}/{{direction}}.md",
        page=report(
            f"{RESULTS}/logit_lens/{{model}}/{{direction}}.html",
            caption="../report/logit_lens.rst",
            category="{model}",
            subcategory="directions",
            labels={"figure": "logit lens of {direction}"},
        ),
    log:
        f"{RESULTS}/logs/tabulate_logit_lens/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_logit_lens/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    params:
        size=options(config["logit_lens"]),
        title=lambda wildcards: options(
            {"title": f"Logit lens of {wildcards.direction} in {wildcards.model}"}
        ),
        program=path_of("directions/tabulate_logit_lens"),
        code=code_of("directions/tabulate_logit_lens"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --direction {input.direction} {params.size} {params.title} --threads {threads}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"
