"""Interventions: plans, and the model's texts under them.

A job runs all rows of an entry of `interventions`, which load the model once and share its files:
their column `intervention` says whose row a line is. A row may be compared with random sets: the
same change of neurons that match its own.
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


rule write_plans:
    input:
        unpack(plan_files),
    output:
        f"{RESULTS}/plans/{{model}}/{{entry}}.parquet",
    log:
        log_path("write_plans", "{model}", "{entry}"),
    benchmark:
        benchmark_path("write_plans", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        rows=plans_of_entry,
        files=files_as_options,
        code=code_of("interventions/write_plans"),
    shell:
        "python {resources.scripts}/interventions/write_plans.py"
        " {params.rows} {params.files} --output {output} 2> {log}"


rule run_interventions:
    input:
        unpack(run_files),
        unpack(pair_files),
        **folder("checkpoint_pre", f"{RESULTS}/checkpoints/{{model}}/pre"),
        **folder("checkpoint_post", f"{RESULTS}/checkpoints/{{model}}/post"),
        plans=f"{RESULTS}/plans/{{model}}/{{entry}}.parquet",
        challenge=data_of_model("challenge_prompts"),
        references=data_of_model("reference_sentences"),
        text=f"{DATA}/perplexity_text.jsonl",
    output:
        challenge=f"{RESULTS}/generations/{{model}}/{{entry}}/challenge_prompts.jsonl",
        references=f"{RESULTS}/generations/{{model}}/{{entry}}/reference_sentences.jsonl",
        perplexity=f"{RESULTS}/perplexity/{{model}}/{{entry}}.json",
        faithfulness=f"{RESULTS}/faithfulness/{{model}}/{{entry}}.parquet",
    log:
        log_path("run_interventions", "{model}", "{entry}"),
    benchmark:
        benchmark_path("run_interventions", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_runs, windows_mb),
        scripts=SCRIPTS,
    params:
        rows=runs_of_entry,
        stage=stage_to_change,
        files=run_files_as_options,
        tokens=config["generation"]["tokens"],
        window=config["perplexity"]["window"],
        screening=screening_of_entry,
        prompts=config["faithfulness"]["prompts"],
        windows=config["faithfulness"]["windows"],
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_interventions"),
    shell:
        "python {resources.scripts}/interventions/run_interventions.py {params.rows}"
        " --checkpoint-pre {input.checkpoint_pre} --checkpoint-post {input.checkpoint_post}"
        " --stage {params.stage} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plans {input.plans} --challenge-prompts {input.challenge}"
        " --reference-sentences {input.references} --tokens {params.tokens}"
        " --perplexity-text {input.text} --window {params.window}"
        " {params.screening}"
        " --dtype {params.dtype} --attention {params.attention}"
        " --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} {params.files}"
        " --compared-prompts {params.prompts} --compared-windows {params.windows}"
        " --challenge-prompts-output {output.challenge}"
        " --reference-sentences-output {output.references}"
        " --perplexity-output {output.perplexity}"
        " --faithfulness-output {output.faithfulness} 2> {log}"


rule draw_random_sets:
    input:
        unpack(files_to_draw_from),
        plans=f"{RESULTS}/plans/{{model}}/{{entry}}.parquet",
    output:
        f"{RESULTS}/random_sets/{{model}}/{{entry}}.plans.parquet",
    log:
        log_path("draw_random_sets", "{model}", "{entry}"),
    benchmark:
        benchmark_path("draw_random_sets", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        rows=random_sets_of_entry,
        files=files_as_options,
        code=code_of("interventions/draw_random_sets"),
    shell:
        "python {resources.scripts}/interventions/draw_random_sets.py {params.rows}"
        " {params.files} --output {output} 2> {log}"


rule run_random_sets:
    input:
        unpack(checkpoint_to_change),
        unpack(donor_checkpoint),
        unpack(pair_files),
        unpack(vectors_to_run_with),
        plans=f"{RESULTS}/random_sets/{{model}}/{{entry}}.plans.parquet",
        challenge=data_of_model("challenge_prompts"),
    output:
        f"{RESULTS}/random_sets/{{model}}/{{entry}}.jsonl",
    log:
        log_path("run_random_sets", "{model}", "{entry}"),
    benchmark:
        benchmark_path("run_random_sets", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_random_sets),
        scripts=SCRIPTS,
    params:
        rows=random_set_runs_of_entry,
        tokens=config["generation"]["tokens"],
        vectors=vectors_as_options,
        donor=donor_as_option,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_random_sets"),
    shell:
        "python {resources.scripts}/interventions/run_random_sets.py {params.rows}"
        " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plans {input.plans} --challenge-prompts {input.challenge} --tokens {params.tokens}"
        " {params.vectors} {params.donor}"
        " --dtype {params.dtype} --attention {params.attention}"
        " --gpus {resources.model_gpus} --batch-size {resources.batch_size}"
        " --device {resources.device} --threads {threads} --output {output} 2> {log}"


rule run_samples:
    input:
        unpack(checkpoint_to_change),
        unpack(donor_checkpoint),
        unpack(pair_files),
        unpack(vectors_to_run_with),
        plans=f"{RESULTS}/plans/{{model}}/{{entry}}.parquet",
        challenge=data_of_model("challenge_prompts"),
    output:
        f"{RESULTS}/samples/{{model}}/{{entry}}.jsonl",
    log:
        log_path("run_samples", "{model}", "{entry}"),
    benchmark:
        benchmark_path("run_samples", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"]
    resources:
        **model_resources(tokens_of_samples),
        scripts=SCRIPTS,
    params:
        rows=samples_of_entry,
        tokens=config["generation"]["tokens"],
        sampling=setting_options("sampling", only=["per_prompt", "temperature", "top_p"]),
        seed=SEED,
        vectors=vectors_as_options,
        donor=donor_as_option,
        dtype=setting("models", "{model}", "dtype"),
        attention=setting("models", "{model}", "attention"),
        code=code_of("interventions/run_samples"),
    shell:
        "python {resources.scripts}/interventions/run_samples.py {params.rows}"
        " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
        " --plans {input.plans} --challenge-prompts {input.challenge} --tokens {params.tokens}"
        " {params.vectors} {params.donor} {params.sampling} --seed {params.seed}"
        " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
        " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
        " --output {output} 2> {log}"


# Only when it is asked for: snakemake results/toy/exports/toy/ablate_top_2
rule export_intervention:
    input:
        unpack(exported_files),
        unpack(plans_of_capture),
    output:
        folder=directory(f"{RESULTS}/exports/{{model}}/{{intervention}}"),
        source=f"{RESULTS}/exports/{{model}}/{{intervention}}.source.json",
    log:
        log_path("export_intervention", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("export_intervention", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=exporting_mb,
        scripts=SCRIPTS,
    params:
        stage=stage_to_export,
        direction=direction_to_export_as_option,
        donor=donor_as_option,
        dtype=setting("models", "{model}", "dtype"),
        code=code_of("interventions/export_intervention"),
    shell:
        "python {resources.scripts}/interventions/export_intervention.py"
        " --model {wildcards.model} --intervention {wildcards.intervention}"
        " --stage {params.stage} --checkpoint {input.checkpoint}"
        " --source {input.checkpoint_content} --plans {input.plans} {params.direction}"
        " {params.donor} --dtype {params.dtype} --output {output.folder}"
        " --source-output {output.source}"
        " 2> {log}"


for shard in range(1, SHARDS + 1):

    rule:
        name:
            name_of_shard("capture_under_plan", shard)
        input:
            unpack(pair_files),
            unpack(plans_of_capture),
            checkpoint=ancient(f"{RESULTS}/checkpoints/{{model}}/pre"),
            source=f"{RESULTS}/checkpoints/{{model}}/pre.source.json",
            prompts=data_of_model("challenge_prompts"),
        output:
            **pieces_of(shard, "{intervention}"),
        log:
            log_path("capture_under_plan", "{model}", f"{{intervention}}.{shard}"),
        cache: CACHE
        conda:
            ENVIRONMENT
        threads: config["compute"]["threads"]
        resources:
            **model_resources(tokens_of_capture),
            scripts=SCRIPTS,
            shard=shard,
            shards=SHARDS,
        params:
            model="{model}",
            tokens=config["generation"]["tokens"],
            positions=config["activations"]["positions"],
            plan_positions=positions_of_capture,
            dtype=setting("models", "{model}", "dtype"),
            attention=setting("models", "{model}", "attention"),
            pieces=PIECES,
            code=code_of("interventions/capture_under_plan"),
        shell:
            "python {resources.scripts}/interventions/capture_under_plan.py"
            " --checkpoint {input.checkpoint} --pair {input.pair} --tokenizer {input.tokenizer}"
            " --source {input.source} --name {params.model} --prompts {input.prompts}"
            " --tokens {params.tokens} --positions {params.positions}"
            " --plans {input.plans} --intervention {wildcards.intervention}"
            " --plan-positions {params.plan_positions}"
            " --dtype {params.dtype} --attention {params.attention} --gpus {resources.model_gpus}"
            " --batch-size {resources.batch_size} --device {resources.device} --threads {threads}"
            " --pieces {params.pieces} --shard {resources.shard} --shards {resources.shards}"
            " --output {output} 2> {log}"

    benchmark_unless_cached(
        name_of_shard("capture_under_plan", shard),
        benchmark_path("capture_under_plan", "{model}", f"{{intervention}}.{shard}"),
    )
