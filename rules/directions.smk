"""Directions in the residual stream, and the tokens that they promote."""

LOGIT_LENSES = expand(
    f"{RESULTS}/logit_lens/{{model}}/{{direction}}.{{extension}}",
    model=MODELS,
    direction=config["directions"],
    extension=["csv", "md", "html"],
)


rule train_probe:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        comments=data_of_model("labelled_comments"),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("train_probe", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "probe")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_texts, texts_mb),
        scripts=SCRIPTS,
    params:
        recipe=setting_options("directions", "{direction}"),
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        seed=SEED,
        code=code_of("directions/train_probe"),
    shell:
        "python {resources.scripts}/directions/train_probe.py --checkpoint {input.checkpoint}"
        " --comments {input.comments} {params.recipe}"
        " --seed {params.seed} --dtype {params.dtype} --attention {params.attention}"
        " --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


benchmark_unless_cached("train_probe", benchmark_path("train_probe", "{model}", "{direction}"))


rule compute_mean_difference:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        comments=data_of_model("labelled_comments"),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("compute_mean_difference", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "difference")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_texts, texts_mb),
        scripts=SCRIPTS,
    params:
        recipe=setting_options("directions", "{direction}"),
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("directions/compute_mean_difference"),
    shell:
        "python {resources.scripts}/directions/compute_mean_difference.py"
        " --checkpoint {input.checkpoint} --comments {input.comments} {params.recipe}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


benchmark_unless_cached(
    "compute_mean_difference", benchmark_path("compute_mean_difference", "{model}", "{direction}")
)


rule compute_pair_svd:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        pairs=data_of_model("preference_pairs"),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("compute_pair_svd", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "pair_svd")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_texts, texts_mb),
        scripts=SCRIPTS,
    params:
        recipe=setting_options("directions", "{direction}"),
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("directions/compute_pair_svd"),
    shell:
        "python {resources.scripts}/directions/compute_pair_svd.py"
        " --checkpoint {input.checkpoint} --pairs {input.pairs} {params.recipe}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


benchmark_unless_cached(
    "compute_pair_svd", benchmark_path("compute_pair_svd", "{model}", "{direction}")
)


rule read_value_vector:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("read_value_vector", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "value_vector")),
    cache: CACHE
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        neuron=setting_options("directions", "{direction}"),
        code=code_of("directions/read_value_vector"),
    shell:
        "python {resources.scripts}/directions/read_value_vector.py"
        " --checkpoint {input.checkpoint} {params.neuron} --output {output} 2> {log}"


benchmark_unless_cached(
    "read_value_vector", benchmark_path("read_value_vector", "{model}", "{direction}")
)


rule import_direction:
    input:
        path_of_direction,
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("import_direction", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "file")),
    cache: CACHE
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("directions/import_direction"),
    shell:
        "python {resources.scripts}/directions/import_direction.py --path {input:q}"
        " --output {output} 2> {log}"


benchmark_unless_cached(
    "import_direction", benchmark_path("import_direction", "{model}", "{direction}")
)


rule compute_embedding_direction:
    input:
        unpack(file_of_words),
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("compute_embedding_direction", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "embedding")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
    params:
        words=words_of_direction,
        code=code_of("directions/compute_embedding_direction"),
    shell:
        "python {resources.scripts}/directions/compute_embedding_direction.py"
        " --checkpoint {input.checkpoint}"
        " {params.words} --threads {threads} --output {output} 2> {log}"


benchmark_unless_cached(
    "compute_embedding_direction",
    benchmark_path("compute_embedding_direction", "{model}", "{direction}"),
)


rule compute_svd_direction:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        direction=direction_to_decompose,
    output:
        f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    log:
        log_path("compute_svd_direction", "{model}", "{direction}"),
    wildcard_constraints:
        direction=any_of(STUDY.names_with("directions", "svd")),
    cache: CACHE
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
    params:
        shape=setting_options("directions", "{direction}", only=("neurons", "components")),
        code=code_of("directions/compute_svd_direction"),
    shell:
        "python {resources.scripts}/directions/compute_svd_direction.py"
        " --checkpoint {input.checkpoint}"
        " --direction {input.direction} {params.shape} --threads {threads}"
        " --output {output} 2> {log}"


benchmark_unless_cached(
    "compute_svd_direction", benchmark_path("compute_svd_direction", "{model}", "{direction}")
)


rule tabulate_logit_lens:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
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
        log_path("tabulate_logit_lens", "{model}", "{direction}"),
    benchmark:
        benchmark_path("tabulate_logit_lens", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
    params:
        size=write_options(config["logit_lens"]),
        title="Logit lens of {direction} in {model}",
        code=code_of("directions/tabulate_logit_lens"),
    shell:
        "python {resources.scripts}/directions/tabulate_logit_lens.py"
        " --checkpoint {input.checkpoint}"
        " --direction {input.direction} {params.size} --title {params.title:q} --threads {threads}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"


rule compare_directions:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        directions=expand(
            f"{RESULTS}/directions/{{{{model}}}}/{{direction}}.safetensors",
            direction=config["directions"],
        ),
    output:
        csv=f"{RESULTS}/tables/{{model}}.directions.csv",
        markdown=f"{RESULTS}/tables/{{model}}.directions.md",
    log:
        log_path("compare_directions", "{model}"),
    benchmark:
        benchmark_path("compare_directions", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("directions/compare_directions"),
    shell:
        "python {resources.scripts}/directions/compare_directions.py"
        " --checkpoint {input.checkpoint} --directions {input.directions}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"
