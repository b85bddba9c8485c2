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
        code=code_of("neurons/compute_contributions"),
    shell:
        "python {SCRIPTS}/neurons/compute_contributions.py"
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
        code=code_of("neurons/summarise_groups"),
    shell:
        "python {SCRIPTS}/neurons/summarise_groups.py --contributions {input.contributions}"
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
        code=code_of("neurons/decompose_reductions"),
    shell:
        "python {SCRIPTS}/neurons/decompose_reductions.py --contributions {input.contributions}"
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
        code=code_of("neurons/summarise_cancellation"),
    shell:
        "python {SCRIPTS}/neurons/summarise_cancellation.py --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output.layers} --curve {output.curve} --neurons {output.neurons} 2> {log}"
