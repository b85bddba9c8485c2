"""How fine-tuning shifts the residual stream, and what wrote the shift along the direction."""


rule compare_residuals:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        layers=f"{RESULTS}/residuals/{{model}}/layers.csv",
        prompts=f"{RESULTS}/residuals/{{model}}/prompts.csv",
        changes=f"{RESULTS}/residuals/{{model}}/value_changes.csv",
    log:
        log_path("compare_residuals", "{model}"),
    benchmark:
        benchmark_path("compare_residuals", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
        mem_mb=value_vectors_mb,
    params:
        code=code_of("neurons/compare_residuals"),
    shell:
        "python {resources.scripts}/neurons/compare_residuals.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --output {output.layers}"
        " --prompts-output {output.prompts} --changes-output {output.changes} 2> {log}"


# Only for rows that steer along the shift.
rule average_shifts:
    input:
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        f"{RESULTS}/stream_shifts/{{model}}.parquet",
    log:
        log_path("average_shifts", "{model}"),
    benchmark:
        benchmark_path("average_shifts", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        seed=SEED,
        code=code_of("neurons/average_shifts"),
    shell:
        "python {resources.scripts}/neurons/average_shifts.py"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --seed {params.seed} --output {output} 2> {log}"


# Here, and not with the checkpoints: it is the first stage that has a direction to compare with.
rule compare_weights:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        f"{RESULTS}/weight_changes/{{model}}.csv",
    log:
        log_path("compare_weights", "{model}"),
    benchmark:
        benchmark_path("compare_weights", "{model}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=weight_changes_mb,
        runtime=weight_changes_minutes,
    params:
        code=code_of("neurons/compare_weights"),
    shell:
        "python {resources.scripts}/neurons/compare_weights.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --direction {input.direction} --threads {threads} --output {output} 2> {log}"


rule split_stream_shift:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        activations_crossed=f"{RESULTS}/activations/{{model}}/crossed.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        parts=f"{RESULTS}/stream_split/{{model}}/{{direction}}.parts.csv",
        layers=f"{RESULTS}/stream_split/{{model}}/{{direction}}.layers.csv",
        totals=f"{RESULTS}/stream_split/{{model}}/{{direction}}.totals.csv",
        heads=f"{RESULTS}/heads/{{model}}/{{direction}}.parquet",
    log:
        log_path("split_stream_shift", "{model}", "{direction}"),
    benchmark:
        benchmark_path("split_stream_shift", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
        mem_mb=value_vectors_mb,
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/split_stream_shift"),
    shell:
        "python {resources.scripts}/neurons/split_stream_shift.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --activations-crossed {input.activations_crossed} --direction {input.direction}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --parts {output.parts} --layers {output.layers} --totals {output.totals}"
        " --heads {output.heads} 2> {log}"


rule train_autoencoder:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        text=f"{DATA}/training_text.jsonl",
    output:
        autoencoder=directory(f"{RESULTS}/autoencoders/{{model}}/{{autoencoder}}"),
        source=f"{RESULTS}/autoencoders/{{model}}/{{autoencoder}}.source.json",
    log:
        log_path("train_autoencoder", "{model}", "{autoencoder}"),
    benchmark:
        benchmark_path("train_autoencoder", "{model}", "{autoencoder}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_autoencoder, texts_mb),
        scripts=SCRIPTS,
    params:
        recipe=setting_options("models", "{model}", "autoencoders", "{autoencoder}"),
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        seed=SEED,
        code=code_of("activations/train_autoencoder"),
    shell:
        "python {resources.scripts}/activations/train_autoencoder.py"
        " --checkpoint {input.checkpoint} --text {input.text} {params.recipe} --seed {params.seed}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output.autoencoder} --source-output {output.source} 2> {log}"


rule average_features:
    input:
        unpack(pair_files),
        unpack(files_of_autoencoder),
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        prompts=data_of_model("challenge_prompts"),
    output:
        f"{RESULTS}/features/{{model}}/{{autoencoder}}.h5",
    log:
        log_path("average_features", "{model}", "{autoencoder}"),
    benchmark:
        benchmark_path("average_features", "{model}", "{autoencoder}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_both_models, texts_mb),
        scripts=SCRIPTS,
    params:
        folder=folder_of_autoencoder,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("activations/average_features"),
    shell:
        "python {resources.scripts}/activations/average_features.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --autoencoder {params.folder:q} --prompts {input.prompts} --pair {input.pair}"
        " --tokenizer {input.tokenizer} --dtype {params.dtype} --attention {params.attention}"
        " --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule split_by_features:
    input:
        unpack(files_of_autoencoder),
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        features=f"{RESULTS}/features/{{model}}/{{autoencoder}}.h5",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        f"{RESULTS}/features/{{model}}/{{autoencoder}}.csv",
    log:
        log_path("split_by_features", "{model}", "{autoencoder}"),
    benchmark:
        benchmark_path("split_by_features", "{model}", "{autoencoder}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=value_vectors_mb,
    params:
        folder=folder_of_autoencoder,
        tokens=config["logit_lens"]["tokens"],
        norm=config["logit_lens"]["norm"],
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/split_by_features"),
    shell:
        "python {resources.scripts}/neurons/split_by_features.py"
        " --checkpoint {input.checkpoint_pre} --autoencoder {params.folder:q}"
        " --features {input.features} --direction {input.direction}"
        " --tokens {params.tokens} --norm {params.norm} --threads {threads}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output} 2> {log}"


rule trace_token_probabilities:
    input:
        unpack(pair_files),
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        prompts=data_of_model("challenge_prompts"),
    output:
        f"{RESULTS}/token_probabilities/{{model}}.csv",
    log:
        log_path("trace_token_probabilities", "{model}"),
    benchmark:
        benchmark_path("trace_token_probabilities", "{model}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_both_models, texts_mb),
        scripts=SCRIPTS,
    params:
        words=words_to_trace,
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("activations/trace_token_probabilities"),
    shell:
        "python {resources.scripts}/activations/trace_token_probabilities.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --pair {input.pair} --tokenizer {input.tokenizer} --prompts {input.prompts}"
        " {params.words} --resamples {params.resamples} --level {params.level}"
        " --seed {params.seed} --dtype {params.dtype} --attention {params.attention}"
        " --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"
