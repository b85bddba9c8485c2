"""Contributions of neurons to the change along a direction, and their sums by group."""

CONTRIBUTIONS = [
    f"{RESULTS}/{table}"
    for model in MODELS
    for direction in config["directions"]
    for table in (
        f"contributions/{model}/{direction}.parquet",
        f"groups/{model}/{direction}.csv",
        f"random_directions/{model}/{direction}.csv",
    )
]


rule compute_contributions:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
    log:
        log_path("compute_contributions", "{model}", "{direction}"),
    benchmark:
        benchmark_path("compute_contributions", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        definition=config["groups"]["definition"],
        code=code_of("neurons/compute_contributions"),
    shell:
        "python {resources.scripts}/neurons/compute_contributions.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --definition {params.definition}"
        " --output {output} 2> {log}"


rule summarise_groups:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        groups=f"{RESULTS}/groups/{{model}}/{{direction}}.csv",
        layers=f"{RESULTS}/layer_groups/{{model}}/{{direction}}.csv",
    log:
        log_path("summarise_groups", "{model}", "{direction}"),
    benchmark:
        benchmark_path("summarise_groups", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        definition=config["groups"]["definition"],
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/summarise_groups"),
    shell:
        "python {resources.scripts}/neurons/summarise_groups.py"
        " --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --definition {params.definition} --output {output.groups} --layers {output.layers}"
        " 2> {log}"


rule correlate_changes:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
    output:
        f"{RESULTS}/correlations/{{model}}/{{direction}}.csv",
    log:
        log_path("correlate_changes", "{model}", "{direction}"),
    benchmark:
        benchmark_path("correlate_changes", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("neurons/correlate_changes"),
    shell:
        "python {resources.scripts}/neurons/correlate_changes.py"
        " --contributions {input.contributions} --output {output} 2> {log}"


rule compare_random_directions:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        sums=f"{RESULTS}/random_directions/{{model}}/{{direction}}.csv",
        layers=f"{RESULTS}/random_directions/{{model}}/{{direction}}.layers.csv",
    log:
        log_path("compare_random_directions", "{model}", "{direction}"),
    benchmark:
        benchmark_path("compare_random_directions", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        definition=config["groups"]["definition"],
        draws=config["groups"]["random_directions"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/compare_random_directions"),
    shell:
        "python {resources.scripts}/neurons/compare_random_directions.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --definition {params.definition} --draws {params.draws}"
        " --level {params.level} --seed {params.seed} --output {output.sums}"
        " --layers-output {output.layers} 2> {log}"


rule rank_neurons:
    input:
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        activations_crossed=f"{RESULTS}/activations/{{model}}/crossed.h5",
    output:
        f"{RESULTS}/rankings/{{model}}/{{by}}.parquet",
    log:
        log_path("rank_neurons", "{model}", "{by}"),
    benchmark:
        benchmark_path("rank_neurons", "{model}", "{by}")
    wildcard_constraints:
        by="change|effect_size",
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("neurons/rank_neurons"),
    shell:
        "python {resources.scripts}/neurons/rank_neurons.py --by {wildcards.by}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --activations-crossed {input.activations_crossed} --output {output} 2> {log}"


rule measure_auroc:
    input:
        unpack(pair_files),
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        comments=data_of_model("labelled_comments"),
    output:
        f"{RESULTS}/rankings/{{model}}/auroc.parquet",
    log:
        log_path("measure_auroc", "{model}"),
    benchmark:
        benchmark_path("measure_auroc", "{model}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_texts, texts_mb),
        scripts=SCRIPTS,
    params:
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("neurons/measure_auroc"),
    shell:
        "python {resources.scripts}/neurons/measure_auroc.py --checkpoint {input.checkpoint}"
        " --pair {input.pair} --tokenizer {input.tokenizer} --comments {input.comments}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


rule decompose_reductions:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_crossed=f"{RESULTS}/activations/{{model}}/crossed.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        neurons=f"{RESULTS}/decompositions/{{model}}/{{direction}}.parquet",
        summary=f"{RESULTS}/decompositions/{{model}}/{{direction}}.csv",
    log:
        log_path("decompose_reductions", "{model}", "{direction}"),
    benchmark:
        benchmark_path("decompose_reductions", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("neurons/decompose_reductions"),
    shell:
        "python {resources.scripts}/neurons/decompose_reductions.py"
        " --contributions {input.contributions}"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre}"
        " --activations-crossed {input.activations_crossed}"
        " --direction {input.direction} --output {output.neurons}"
        " --summary-output {output.summary} 2> {log}"


rule summarise_cancellation:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        layers=f"{RESULTS}/cancellation/{{model}}/{{direction}}.csv",
        curve=f"{RESULTS}/net_curve/{{model}}/{{direction}}.csv",
        neurons=f"{RESULTS}/strongest_neurons/{{model}}/{{direction}}.csv",
    log:
        log_path("summarise_cancellation", "{model}", "{direction}"),
    benchmark:
        benchmark_path("summarise_cancellation", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/summarise_cancellation"),
    shell:
        "python {resources.scripts}/neurons/summarise_cancellation.py"
        " --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output.layers} --curve {output.curve} --neurons {output.neurons} 2> {log}"


rule describe_neurons:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        activations=f"{RESULTS}/activations/{{model}}/pre.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        f"{RESULTS}/neurons/{{model}}/{{direction}}.parquet",
    log:
        log_path("describe_neurons", "{model}", "{direction}"),
    benchmark:
        benchmark_path("describe_neurons", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("neurons/describe_neurons"),
    shell:
        "python {resources.scripts}/neurons/describe_neurons.py --checkpoint {input.checkpoint}"
        " --activations {input.activations} --direction {input.direction}"
        " --output {output} 2> {log}"


rule tabulate_largest_neurons:
    input:
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        f"{RESULTS}/largest_neurons/{{model}}/{{direction}}.parquet",
    log:
        log_path("tabulate_largest_neurons", "{model}", "{direction}"),
    benchmark:
        benchmark_path("tabulate_largest_neurons", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        scripts=SCRIPTS,
        mem_mb=value_vectors_mb,
    params:
        tokens=config["logit_lens"]["tokens"],
        norm=config["logit_lens"]["norm"],
        code=code_of("neurons/tabulate_largest_neurons"),
    shell:
        "python {resources.scripts}/neurons/tabulate_largest_neurons.py"
        " --checkpoint {input.checkpoint_pre} --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --tokens {params.tokens} --norm {params.norm} --threads {threads}"
        " --output {output} 2> {log}"


rule summarise_totals:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        f"{RESULTS}/totals/{{model}}/{{direction}}.csv",
    log:
        log_path("summarise_totals", "{model}", "{direction}"),
    benchmark:
        benchmark_path("summarise_totals", "{model}", "{direction}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("neurons/summarise_totals"),
    shell:
        "python {resources.scripts}/neurons/summarise_totals.py"
        " --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output} 2> {log}"
