"""Interventions: a plan a row of the tables, and what the model does under it."""


rule list_interventions:
    output:
        f"{RESULTS}/interventions.csv",
    log:
        log_path("list_interventions"),
    benchmark:
        benchmark_path("list_interventions")
    conda:
        ENVIRONMENT
    params:
        entries=json.dumps(config["interventions"], ensure_ascii=False),
        direction=DIRECTION,
        program=path_of("interventions/list_interventions"),
        code=code_of("interventions/list_interventions"),
    shell:
        "python {params.program} --entries {params.entries:q}"
        " --direction {params.direction} --output {output} 2> {log}"


rule write_plan:
    input:
        unpack(plan_files),
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
        files=lambda wildcards, input: options(dict(input.items())),
        program=path_of("interventions/write_plan"),
        code=code_of("interventions/write_plan"),
    shell:
        "python {params.program} {params.selection} {params.files}" " --output {output} 2> {log}"


rule run_intervention:
    input:
        unpack(run_files),
        checkpoint=lambda wildcards: checkpoint_of(wildcards.intervention),
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
        challenge=f"{DATA}/challenge_prompts.jsonl",
        references=f"{DATA}/reference_sentences.jsonl",
        text=f"{DATA}/perplexity_text.jsonl",
    output:
        challenge=f"{RESULTS}/generations/{{model}}/{{intervention}}/challenge_prompts.jsonl",
        references=f"{RESULTS}/generations/{{model}}/{{intervention}}/reference_sentences.jsonl",
        perplexity=f"{RESULTS}/perplexity/{{model}}/{{intervention}}.json",
    log:
        f"{RESULTS}/logs/run_intervention/{{model}}/{{intervention}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_intervention/{{model}}/{{intervention}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=60),
    params:
        tokens=config["generation"]["tokens"],
        generation_positions=generation_positions_of,
        besides=run_options,
        window=config["perplexity"]["window"],
        perplexity_positions=config["perplexity"]["positions"],
        dtype=dtype_of,
        attention=attention_of,
        program=path_of("interventions/run_intervention"),
        code=code_of("interventions/run_intervention"),
    shell:
        "python {params.program} --checkpoint {input.checkpoint}"
        " --plan {input.plan} --challenge-prompts {input.challenge}"
        " --reference-sentences {input.references} --tokens {params.tokens}"
        " --generation-positions {params.generation_positions} --perplexity-text {input.text}"
        " --window {params.window} --perplexity-positions {params.perplexity_positions}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads}"
        " {params.besides} --challenge-prompts-output {output.challenge}"
        " --reference-sentences-output {output.references}"
        " --perplexity-output {output.perplexity} 2> {log}"


for shard in range(1, SHARDS + 1):

    rule:
        name:
            name_of_shard("capture_under_plan", shard)
        input:
            checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
            source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
            plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
            prompts=f"{DATA}/challenge_prompts.jsonl",
        output:
            **pieces_of(shard, "{intervention}"),
        log:
            f"{RESULTS}/logs/capture_under_plan/{{model}}/{{intervention}}.{shard}.log",
        benchmark:
            f"{RESULTS}/benchmarks/capture_under_plan/{{model}}/{{intervention}}.{shard}.tsv"
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(minutes=30),
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            plan_positions=config["generation"]["positions"],
            dtype=dtype_of,
            attention=attention_of,
            pieces=PIECES,
            program=path_of("interventions/capture_under_plan"),
            code=code_of("interventions/capture_under_plan"),
        shell:
            "python {params.program} --checkpoint {input.checkpoint}"
            " --source {input.source} --name {params.model} --prompts {input.prompts}"
            " --tokens {params.tokens} --positions {params.positions}"
            " --plan {input.plan} --plan-positions {params.plan_positions}"
            " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"
