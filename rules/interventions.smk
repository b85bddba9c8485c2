"""Interventions: a plan a row of the tables, and what the model writes under it."""


rule write_plan:
    input:
        unpack(contributions_of),
    output:
        f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
    log:
        f"{RESULTS}/logs/write_plan/{{model}}/{{intervention}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_plan/{{model}}/{{intervention}}.tsv"
    conda:
        ENVIRONMENT
    params:
        selection=lambda wildcards: STUDY.plan_options(wildcards.intervention),
        contributions=lambda wildcards, input: options(dict(input.items())),
        code=code_of("write_plan"),
    shell:
        "python workflow_scripts/write_plan.py {params.selection} {params.contributions}"
        " --output {output} 2> {log}"


rule generate_continuations:
    input:
        checkpoint=lambda wildcards: checkpoint_of(wildcards.intervention),
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
        challenge=f"{DATA}/challenge_prompts.jsonl",
        references=f"{DATA}/reference_sentences.jsonl",
    output:
        challenge=f"{RESULTS}/generations/{{model}}/{{intervention}}/challenge_prompts.jsonl",
        references=f"{RESULTS}/generations/{{model}}/{{intervention}}/reference_sentences.jsonl",
    log:
        f"{RESULTS}/logs/generate_continuations/{{model}}/{{intervention}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate_continuations/{{model}}/{{intervention}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=30),
    params:
        plan_positions=config["generation"]["positions"],
        tokens=config["generation"]["tokens"],
        dtype=dtype_of,
        code=code_of("generate_continuations"),
    shell:
        "python workflow_scripts/generate_continuations.py --checkpoint {input.checkpoint}"
        " --plan {input.plan} --plan-positions {params.plan_positions}"
        " --challenge-prompts {input.challenge} --reference-sentences {input.references}"
        " --tokens {params.tokens} --dtype {params.dtype} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads}"
        " --challenge-prompts-output {output.challenge}"
        " --reference-sentences-output {output.references} 2> {log}"
