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
        program=path_of("checkpoints/build_tokenizer"),
        code=code_of("checkpoints/build_tokenizer"),
    shell:
        "python {params.program} --output {output} 2> {log}"


rule train_language_model:
    input:
        text=f"{DATA}/training_text.jsonl",
        tokenizer=f"{DATA}/tokenizer",
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/pre"),
        source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
    log:
        f"{RESULTS}/logs/train_language_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_language_model/{{model}}.tsv"
    wildcard_constraints:
        model=match_any(STUDY.models_with("pre", "train_from_scratch")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    params:
        recipe=lambda wildcards: options(config["models"][wildcards.model]["pre"]),
        seed=SEED,
        program=path_of("checkpoints/train_language_model"),
        code=code_of("checkpoints/train_language_model"),
    shell:
        "python {params.program} --text {input.text}"
        " --tokenizer {input.tokenizer} {params.recipe} --seed {params.seed}"
        " --threads {threads} --output {output.checkpoint} --source-output {output.source}"
        " 2> {log}"


rule train_dpo:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        pairs=f"{DATA}/preference_pairs.jsonl",
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
    log:
        f"{RESULTS}/logs/train_dpo/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_dpo/{{model}}.tsv"
    wildcard_constraints:
        model=match_any(STUDY.models_with("post", "dpo")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **training_resources(),
    params:
        recipe=lambda wildcards: options(config["models"][wildcards.model]["post"]),
        dtype=dtype_of,
        seed=SEED,
        program=path_of("checkpoints/train_dpo"),
        code=code_of("checkpoints/train_dpo"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --pairs {input.pairs} --dtype {params.dtype} {params.recipe} --seed {params.seed}"
        " --device {resources.device} --threads {threads} --output {output.checkpoint}"
        " --source-output {output.source} 2> {log}"


rule train_sft:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        demonstrations=f"{DATA}/demonstrations.jsonl",
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
    log:
        f"{RESULTS}/logs/train_sft/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_sft/{{model}}.tsv"
    wildcard_constraints:
        model=match_any(STUDY.models_with("post", "sft")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **training_resources(),
    params:
        recipe=lambda wildcards: options(config["models"][wildcards.model]["post"]),
        dtype=dtype_of,
        seed=SEED,
        program=path_of("checkpoints/train_sft"),
        code=code_of("checkpoints/train_sft"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --demonstrations {input.demonstrations} --dtype {params.dtype} {params.recipe}"
        " --seed {params.seed} --device {resources.device} --threads {threads}"
        " --output {output.checkpoint} --source-output {output.source} 2> {log}"


rule link_checkpoint:
    input:
        given_files,
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
        source=f"{RESULTS}/checkpoints/{{checkpoint}}.source.json",
    log:
        f"{RESULTS}/logs/link_checkpoint/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/link_checkpoint/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=match_any(STUDY.checkpoints_of_kind("directory", "hub")),
    conda:
        ENVIRONMENT
    resources:
        # Only old weights are read, to be converted.
        mem_mb=lambda wildcards, input: 1000
        + 3 * old_weights_mb(given_checkpoint(wildcards)["path"]),
    params:
        given=lambda wildcards: options(given_checkpoint(wildcards)),
        program=path_of("checkpoints/link_checkpoint"),
        code=code_of("checkpoints/link_checkpoint"),
    shell:
        "python {params.program} {params.given} --output {output.checkpoint}"
        " --source-output {output.source} 2> {log}"


rule merge_adapter:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        adapter=lambda wildcards: files_in(given_path(f"models.{wildcards.model}.post")),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
    log:
        f"{RESULTS}/logs/merge_adapter/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_adapter/{{model}}.tsv"
    wildcard_constraints:
        model=match_any(STUDY.models_with("post", "adapter")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        mem_mb=lambda wildcards, input: 2000 + 5 * checkpoint_mb(input.checkpoint),
    params:
        adapter=lambda wildcards: given_path(f"models.{wildcards.model}.post"),
        dtype=dtype_of,
        program=path_of("checkpoints/merge_adapter"),
        code=code_of("checkpoints/merge_adapter"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --adapter {params.adapter:q} --dtype {params.dtype} --threads {threads}"
        " --output {output.checkpoint} --source-output {output.source} 2> {log}"


rule import_state_dict:
    input:
        path=lambda wildcards: STUDY.checkpoint(wildcards.checkpoint)["path"],
        like=lambda wildcards: files_in(architecture_of(wildcards)),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
        source=f"{RESULTS}/checkpoints/{{checkpoint}}.source.json",
    log:
        f"{RESULTS}/logs/import_state_dict/{{checkpoint}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_state_dict/{{checkpoint}}.tsv"
    wildcard_constraints:
        checkpoint=match_any(STUDY.checkpoints_of_kind("state_dict")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        mem_mb=lambda wildcards, input: 2000 + 3 * Path(input.path).stat().st_size // 1_000_000,
    params:
        like=architecture_of,
        program=path_of("checkpoints/import_state_dict"),
        code=code_of("checkpoints/import_state_dict"),
    shell:
        "python {params.program} --path {input.path:q} --like {params.like:q}"
        " --threads {threads} --output {output.checkpoint} --source-output {output.source}"
        " 2> {log}"
