"""What each neuron contributed to the change along a direction, and what the groups did."""

CONTRIBUTIONS = [
    f"{RESULTS}/{table}"
    for model in MODELS
    for direction in config["directions"]
    for table in (
        f"contributions/{model}/{direction}.parquet",
        f"groups/{model}/{direction}.csv",
    )
]


rule compute_contributions:
    input:
        checkpoint_pre=f"{RESULTS}/checkpoints/{{model}}/pre",
        checkpoint_post=f"{RESULTS}/checkpoints/{{model}}/post",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
    log:
        f"{RESULTS}/logs/compute_contributions/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compute_contributions/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        definition=config["groups"]["definition"],
        program=path_of("neurons/compute_contributions"),
        code=code_of("neurons/compute_contributions"),
    shell:
        "python {params.program}"
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
        f"{RESULTS}/groups/{{model}}/{{direction}}.csv",
    log:
        f"{RESULTS}/logs/summarise_groups/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_groups/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("neurons/summarise_groups"),
        code=code_of("neurons/summarise_groups"),
    shell:
        "python {params.program} --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output} 2> {log}"


rule decompose_reductions:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        checkpoint_pre=f"{RESULTS}/checkpoints/{{model}}/pre",
        checkpoint_post=f"{RESULTS}/checkpoints/{{model}}/post",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_crossed=f"{RESULTS}/activations/{{model}}/crossed.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        neurons=f"{RESULTS}/decompositions/{{model}}/{{direction}}.parquet",
        summary=f"{RESULTS}/decompositions/{{model}}/{{direction}}.csv",
    log:
        f"{RESULTS}/logs/decompose_reductions/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/decompose_reductions/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        program=path_of("neurons/decompose_reductions"),
        code=code_of("neurons/decompose_reductions"),
    shell:
        "python {params.program} --contributions {input.contributions}"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-crossed {input.activations_crossed}"
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
        f"{RESULTS}/logs/summarise_cancellation/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_cancellation/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("neurons/summarise_cancellation"),
        code=code_of("neurons/summarise_cancellation"),
    shell:
        "python {params.program} --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output.layers} --curve {output.curve} --neurons {output.neurons} 2> {log}"


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
        program=path_of("neurons/compare_residuals"),
        code=code_of("neurons/compare_residuals"),
    shell:
        "python {params.program}"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --direction {input.direction} --output {output.layers}"
        " --prompts-output {output.prompts} --changes-output {output.changes} 2> {log}"


rule describe_neurons:
    input:
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        activations=f"{RESULTS}/activations/{{model}}/pre.h5",
        direction=f"{RESULTS}/directions/{{model}}/{{direction}}.safetensors",
    output:
        f"{RESULTS}/neurons/{{model}}/{{direction}}.parquet",
    log:
        f"{RESULTS}/logs/describe_neurons/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe_neurons/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        program=path_of("neurons/describe_neurons"),
        code=code_of("neurons/describe_neurons"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --activations {input.activations} --direction {input.direction}"
        " --output {output} 2> {log}"


rule summarise_totals:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        f"{RESULTS}/totals/{{model}}/{{direction}}.csv",
    log:
        f"{RESULTS}/logs/summarise_totals/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_totals/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("neurons/summarise_totals"),
        code=code_of("neurons/summarise_totals"),
    shell:
        "python {params.program} --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output} 2> {log}"
