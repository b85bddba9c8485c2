"""The pair of checkpoints of each model, before and after fine-tuning."""

# A pair that cannot be compared is refused before hours go into its first checkpoint.
PAIR_FIRST = 10


rule build_tokenizer:
    output:
        folder=directory(f"{DATA}/tokenizer"),
        source=f"{DATA}/tokenizer.source.json",
    log:
        log_path("build_tokenizer"),
    benchmark:
        benchmark_path("build_tokenizer")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("checkpoints/build_tokenizer"),
    shell:
        "python {resources.scripts}/checkpoints/build_tokenizer.py --output {output.folder}"
        " --source-output {output.source} 2> {log}"


rule train_language_model:
    input:
        **folder("tokenizer", f"{DATA}/tokenizer"),
        text=f"{DATA}/training_text.jsonl",
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/pre"),
        source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
    log:
        log_path("train_language_model", "{model}"),
    wildcard_constraints:
        model=any_of(STUDY.models_with("pre", "train_from_scratch")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
    params:
        recipe=setting_options("models", "{model}", "pre"),
        dtype=setting("models", "{model}", "dtype"),
        seed=SEED,
        code=code_of("checkpoints/train_language_model"),
    shell:
        "python {resources.scripts}/checkpoints/train_language_model.py --text {input.text}"
        " --tokenizer {input.tokenizer} {params.recipe} --dtype {params.dtype}"
        " --seed {params.seed}"
        " --threads {threads} --output {output.checkpoint} --source-output {output.source}"
        " 2> {log}"


benchmark_unless_cached("train_language_model", benchmark_path("train_language_model", "{model}"))


rule render_chat:
    input:
        unpack(checkpoint_of_template),
        rows=f"{DATA}/{{dataset}}.jsonl",
    output:
        rows=f"{RESULTS}/chat/{{model}}/{{dataset}}.jsonl",
        source=f"{RESULTS}/chat/{{model}}/{{dataset}}.source.json",
    log:
        log_path("render_chat", "{model}", "{dataset}"),
    benchmark:
        benchmark_path("render_chat", "{model}", "{dataset}")
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
        mem_mb=2000,
    params:
        chat=setting_options("models", "{model}", "chat"),
        code=code_of("checkpoints/render_chat"),
    shell:
        "python {resources.scripts}/checkpoints/render_chat.py --dataset {wildcards.dataset}"
        " --rows {input.rows} --checkpoint {input.checkpoint}"
        " {params.chat} --threads {threads} --output {output.rows}"
        " --source-output {output.source} 2> {log}"


rule train_dpo:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        pairs=data_of_model("preference_pairs"),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
        rewards=f"{RESULTS}/checkpoints/{{model}}/post.rewards.csv",
    log:
        log_path("train_dpo", "{model}"),
    wildcard_constraints:
        model=any_of(STUDY.models_with("post", *TUNED_ON_PAIRS)),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **training_resources("pairs"),
        scripts=SCRIPTS,
    params:
        kind=setting("models", "{model}", "post", "kind"),
        recipe=setting_options("models", "{model}", "post"),
        dtype=setting("models", "{model}", "dtype"),
        code=code_of("checkpoints/train_dpo"),
    shell:
        "python {resources.scripts}/checkpoints/train_dpo.py --checkpoint {input.checkpoint}"
        " --pairs {input.pairs} --dtype {params.dtype} --kind {params.kind} {params.recipe}"
        " --device {resources.device} --threads {threads} --output {output.checkpoint}"
        " --source-output {output.source} --rewards {output.rewards} 2> {log}"


benchmark_unless_cached("train_dpo", benchmark_path("train_dpo", "{model}"))


rule train_sft:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        demonstrations=data_of_model("demonstrations"),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
    log:
        log_path("train_sft", "{model}"),
    wildcard_constraints:
        model=any_of(STUDY.models_with("post", "sft")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **training_resources("demonstrations"),
        scripts=SCRIPTS,
    params:
        recipe=setting_options("models", "{model}", "post"),
        dtype=setting("models", "{model}", "dtype"),
        code=code_of("checkpoints/train_sft"),
    shell:
        "python {resources.scripts}/checkpoints/train_sft.py --checkpoint {input.checkpoint}"
        " --demonstrations {input.demonstrations} --dtype {params.dtype} {params.recipe}"
        " --device {resources.device} --threads {threads}"
        " --output {output.checkpoint} --source-output {output.source} 2> {log}"


benchmark_unless_cached("train_sft", benchmark_path("train_sft", "{model}"))


rule link_checkpoint:
    input:
        unpack(given_checkpoint),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
        source=f"{RESULTS}/checkpoints/{{checkpoint}}.source.json",
    log:
        log_path("link_checkpoint", "{checkpoint}"),
    benchmark:
        benchmark_path("link_checkpoint", "{checkpoint}")
    wildcard_constraints:
        checkpoint=any_of(STUDY.checkpoints_of_kind("directory", "hub", "same_as")),
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
        mem_mb=linking_mb,
    params:
        given=given_checkpoint_options,
        code=code_of("checkpoints/link_checkpoint"),
    shell:
        "python {resources.scripts}/checkpoints/link_checkpoint.py {params.given}"
        " --output {output.checkpoint}"
        " --source-output {output.source} 2> {log}"


rule check_pair:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
    output:
        f"{RESULTS}/checkpoints/{{model}}/pair.json",
    log:
        log_path("check_pair", "{model}"),
    benchmark:
        benchmark_path("check_pair", "{model}")
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
        mem_mb=2000,
    params:
        code=code_of("checkpoints/check_pair"),
    shell:
        "python {resources.scripts}/checkpoints/check_pair.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --threads {threads} --output {output} 2> {log}"


rule merge_adapter:
    input:
        unpack(adapter_files),
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{model}}/post"),
        source=f"{RESULTS}/checkpoints/{{model}}/post.source.json",
    log:
        log_path("merge_adapter", "{model}"),
    wildcard_constraints:
        model=any_of(STUDY.models_with("post", "adapter")),
    cache: CACHE
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=merging_mb,
    params:
        adapter=adapter_folder,
        dtype=setting("models", "{model}", "dtype"),
        code=code_of("checkpoints/merge_adapter"),
    shell:
        "python {resources.scripts}/checkpoints/merge_adapter.py --checkpoint {input.checkpoint}"
        " --adapter {params.adapter:q} --dtype {params.dtype} --threads {threads}"
        " --output {output.checkpoint} --source-output {output.source} 2> {log}"


benchmark_unless_cached("merge_adapter", benchmark_path("merge_adapter", "{model}"))


rule import_state_dict:
    input:
        unpack(architecture_files),
        path=file_of_checkpoint,
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
        source=f"{RESULTS}/checkpoints/{{checkpoint}}.source.json",
    log:
        log_path("import_state_dict", "{checkpoint}"),
    wildcard_constraints:
        checkpoint=any_of(STUDY.checkpoints_of_kind("state_dict")),
    cache: CACHE
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=state_dict_mb,
    params:
        like=architecture_folder,
        code=code_of("checkpoints/import_state_dict"),
    shell:
        "python {resources.scripts}/checkpoints/import_state_dict.py --path {input.path:q}"
        " --like {params.like:q}"
        " --threads {threads} --output {output.checkpoint} --source-output {output.source}"
        " 2> {log}"


benchmark_unless_cached("import_state_dict", benchmark_path("import_state_dict", "{checkpoint}"))


rule import_gguf:
    input:
        path=file_of_checkpoint,
    output:
        checkpoint=directory(f"{RESULTS}/checkpoints/{{checkpoint}}"),
        source=f"{RESULTS}/checkpoints/{{checkpoint}}.source.json",
    log:
        log_path("import_gguf", "{checkpoint}"),
    wildcard_constraints:
        checkpoint=any_of(STUDY.checkpoints_of_kind("gguf")),
    cache: CACHE
    priority: PAIR_FIRST
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=gguf_mb,
    params:
        code=code_of("checkpoints/import_gguf"),
    shell:
        "python {resources.scripts}/checkpoints/import_gguf.py --path {input.path:q}"
        " --threads {threads} --output {output.checkpoint} --source-output {output.source}"
        " 2> {log}"


benchmark_unless_cached("import_gguf", benchmark_path("import_gguf", "{checkpoint}"))
