"""Interventions: one plan per row of the tables, and the model's texts under it.

A row may be compared with random sets: the same change of neurons that match its own.
"""


rule list_interventions:
    output:
        f"{RESULTS}/interventions.csv",
    log:
        log_path("list_interventions"),
    benchmark:
        benchmark_path("list_interventions")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        entries=json.dumps(config["interventions"], ensure_ascii=False),
        direction=DIRECTION,
        code=code_of("interventions/list_interventions"),
    shell:
        "python {resources.scripts}/interventions/list_interventions.py"
        " --entries {params.entries:q}"
        " --direction {params.direction} --output {output} 2> {log}"


rule write_plan:
    input:
        unpack(plan_files),
    output:
        f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
    log:
        log_path("write_plan", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("write_plan", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        selection=plan_of_intervention,
        files=files_as_options,
        code=code_of("interventions/write_plan"),
    shell:
        "python {resources.scripts}/interventions/write_plan.py"
        " {params.selection} {params.files} --output {output} 2> {log}"


rule run_intervention:
    input:
        unpack(run_files),
        unpack(pair_files),
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
        challenge=f"{DATA}/challenge_prompts.jsonl",
        references=f"{DATA}/reference_sentences.jsonl",
        text=f"{DATA}/perplexity_text.jsonl",
    output:
        challenge=f"{RESULTS}/generations/{{model}}/{{intervention}}/challenge_prompts.jsonl",
        references=f"{RESULTS}/generations/{{model}}/{{intervention}}/reference_sentences.jsonl",
        perplexity=f"{RESULTS}/perplexity/{{model}}/{{intervention}}.json",
        faithfulness=f"{RESULTS}/faithfulness/{{model}}/{{intervention}}.parquet",
    log:
        log_path("run_intervention", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("run_intervention", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=60),
        scripts=SCRIPTS,
    params:
        tokens=config["generation"]["tokens"],
        generation_positions=generation_positions,
        stage=stage_to_change,
        source=source_options,
        files=run_files_as_options,
        window=config["perplexity"]["window"],
        perplexity_positions=perplexity_positions,
        prompts=config["faithfulness"]["prompts"],
        windows=config["faithfulness"]["windows"],
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_intervention"),
    shell:
        "python {resources.scripts}/interventions/run_intervention.py"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --stage {params.stage} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plan {input.plan} --challenge-prompts {input.challenge}"
        " --reference-sentences {input.references} --tokens {params.tokens}"
        " --generation-positions {params.generation_positions} --perplexity-text {input.text}"
        " --window {params.window} --perplexity-positions {params.perplexity_positions}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads}"
        " {params.files} {params.source}"
        " --compared-prompts {params.prompts} --compared-windows {params.windows}"
        " --challenge-prompts-output {output.challenge}"
        " --reference-sentences-output {output.references}"
        " --perplexity-output {output.perplexity}"
        " --faithfulness-output {output.faithfulness} 2> {log}"


rule draw_random_sets:
    input:
        unpack(files_to_draw_from),
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
    output:
        f"{RESULTS}/random_sets/{{model}}/{{intervention}}.plans.parquet",
    log:
        log_path("draw_random_sets", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("draw_random_sets", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        row=random_sets_of_intervention,
        code=code_of("interventions/draw_random_sets"),
    shell:
        "python {resources.scripts}/interventions/draw_random_sets.py {params.row}"
        " --plan {input.plan} --contributions {input.contributions} --neurons {input.neurons}"
        " --output {output} 2> {log}"


rule run_random_sets:
    input:
        unpack(checkpoint_to_change),
        unpack(pair_files),
        unpack(direction_to_run_with),
        plans=f"{RESULTS}/random_sets/{{model}}/{{intervention}}.plans.parquet",
        challenge=f"{DATA}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/random_sets/{{model}}/{{intervention}}.jsonl",
    log:
        log_path("run_random_sets", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("run_random_sets", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=120),
        scripts=SCRIPTS,
    params:
        tokens=config["generation"]["tokens"],
        generation_positions=generation_positions,
        direction=direction_as_option,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_random_sets"),
    shell:
        "python {resources.scripts}/interventions/run_random_sets.py"
        " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plans {input.plans} --challenge-prompts {input.challenge} --tokens {params.tokens}"
        " --generation-positions {params.generation_positions} {params.direction}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


rule run_samples:
    input:
        unpack(checkpoint_to_change),
        unpack(pair_files),
        unpack(direction_to_run_with),
        plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
        challenge=f"{DATA}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/samples/{{model}}/{{intervention}}.jsonl",
    log:
        log_path("run_samples", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("run_samples", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(minutes=120),
        scripts=SCRIPTS,
    params:
        tokens=config["generation"]["tokens"],
        generation_positions=generation_positions,
        sampling=setting_options("sampling", only=["per_prompt", "temperature", "top_p"]),
        seed=SEED,
        direction=direction_as_option,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_samples"),
    shell:
        "python {resources.scripts}/interventions/run_samples.py"
        " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plan {input.plan} --challenge-prompts {input.challenge} --tokens {params.tokens}"
        " --generation-positions {params.generation_positions} {params.direction}"
        " {params.sampling} --seed {params.seed}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


for shard in range(1, SHARDS + 1):

    rule:
        name:
            name_of_shard("capture_under_plan", shard)
        input:
            unpack(pair_files),
            checkpoint=ancient(f"{RESULTS}/checkpoints/{{model}}/pre"),
            source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
            plan=f"{RESULTS}/plans/{{model}}/{{intervention}}.parquet",
            prompts=f"{DATA}/challenge_prompts.jsonl",
        output:
            **pieces_of(shard, "{intervention}"),
        log:
            log_path("capture_under_plan", "{model}", f"{{intervention}}.{shard}"),
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(minutes=30),
            scripts=SCRIPTS,
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            plan_positions=generation_positions,
            dtype=setting("models", "{model}", "dtype"),
            attention=setting("models", "{model}", "attention"),
            pieces=PIECES,
            code=code_of("interventions/capture_under_plan"),
        shell:
            "python {resources.scripts}/interventions/capture_under_plan.py"
            " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
            " --source {input.source} --name {params.model} --prompts {input.prompts}"
            " --tokens {params.tokens} --positions {params.positions}"
            " --plan {input.plan} --plan-positions {params.plan_positions}"
            " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"

    benchmark_unless_cached(
        name_of_shard("capture_under_plan", shard),
        benchmark_path("capture_under_plan", "{model}", f"{{intervention}}.{shard}"),
    )
