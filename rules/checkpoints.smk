"""The pair of checkpoints of each model, before and after fine-tuning."""


rule build_tokenizer:
    output:
        directory(f"{DATA}/tokenizer"),
    log:
        f"{RESULTS}/logs/build_tokenizer.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_tokenizer.tsv"
    conda:
        ENVIRONMENT
    params:
        code=code_of("build_tokenizer"),
    shell:
        "python workflow_scripts/build_tokenizer.py --output {output} 2> {log}"


rule train_language_model:
    input:
        text=f"{DATA}/training_text.jsonl",
        tokenizer=f"{DATA}/tokenizer",
    output:
        directory(f"{RESULTS}/checkpoints/{{model}}/pre"),
    log:
        f"{RESULTS}/logs/train_language_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_language_model/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(STUDY.models_with("pre", "train_from_scratch")),
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    params:
        recipe=lambda wildcards: options(config["models"][wildcards.model]["pre"]),
        seed=SEED,
        code=code_of("train_language_model"),
    shell:
        "python workflow_scripts/train_language_model.py --text {input.text}"
        " --tokenizer {input.tokenizer} {params.recipe} --seed {params.seed}"
        " --threads {threads} --output {output} 2> {log}"


rule train_dpo:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        pairs=f"{DATA}/preference_pairs.jsonl",
    output:
        directory(f"{RESULTS}/checkpoints/{{model}}/post"),
    log:
        f"{RESULTS}/logs/train_dpo/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_dpo/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(STUDY.models_with("post", "dpo")),
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=60),
    params:
        recipe=lambda wildcards: options(config["models"][wildcards.model]["post"]),
        dtype=dtype_of,
        seed=SEED,
        code=code_of("train_dpo"),
    shell:
        "python workflow_scripts/train_dpo.py --checkpoint {input.checkpoint}"
        " --pairs {input.pairs} --dtype {params.dtype} {params.recipe} --seed {params.seed}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule link_checkpoint:
    input:
        lambda wildcards: STUDY.checkpoint_directories[wildcards.checkpoint],
    output:
        directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
    log:
        f"{RESULTS}/logs/link_checkpoint/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/link_checkpoint/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=one_of(STUDY.checkpoint_directories),
    conda:
        ENVIRONMENT
    params:
        code=code_of("link_checkpoint"),
    shell:
        "python workflow_scripts/link_checkpoint.py --path {input} --output {output} 2> {log}"
