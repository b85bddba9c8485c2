"""Evaluation: scores, the table of all interventions, their tests, and the models side by side."""

TABLES = expand(
    f"{RESULTS}/tables/{{table}}.{{extension}}",
    table=[*MODELS, "comparison"],
    extension=["csv", "md", "html"],
) + expand(f"{RESULTS}/tables/{{model}}.tests.{{extension}}", model=MODELS, extension=["csv", "md"])


rule score_continuations:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/generations/{{model}}/{{intervention}}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/scores/{{model}}/{{intervention}}.parquet",
    log:
        f"{RESULTS}/logs/score_continuations/{{model}}/{{intervention}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_continuations/{{model}}/{{intervention}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"] if config["scorer"]["kind"] == "classifier" else 1
    resources:
        gpu=gpus_of(1) if config["scorer"]["kind"] == "classifier" else 0,
        running=STUDY.scorer_run_options(),
    params:
        scorer=STUDY.scorer_options(),
        files=lambda wildcards, input: options(
            {name: path for name, path in input.items() if name != "continuations"}
        ),
        program=path_of("evaluation/score_continuations"),
        code=code_of("evaluation/score_continuations"),
    shell:
        "python {params.program} --continuations {input.continuations}"
        " {params.scorer} {params.files} {resources.running} --output {output} 2> {log}"


rule tabulate_interventions:
    input:
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{intervention}}.parquet",
            intervention=STUDY.interventions,
        ),
        continuations=expand(
            f"{RESULTS}/generations/{{{{model}}}}/{{intervention}}/{{prompts}}.jsonl",
            intervention=STUDY.interventions,
            prompts=["challenge_prompts", "reference_sentences"],
        ),
        scores=expand(
            f"{RESULTS}/scores/{{{{model}}}}/{{intervention}}.parquet",
            intervention=STUDY.interventions,
        ),
        perplexities=expand(
            f"{RESULTS}/perplexity/{{{{model}}}}/{{intervention}}.json",
            intervention=STUDY.interventions,
        ),
        references=f"{DATA}/reference_sentences.jsonl",
        interventions=f"{RESULTS}/interventions.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.csv",
        markdown=f"{RESULTS}/tables/{{model}}.md",
        page=report(
            f"{RESULTS}/tables/{{model}}.html",
            caption="../report/table.rst",
            category="{model}",
            subcategory="tables",
            labels={"figure": "tables 1 and 2"},
        ),
    log:
        f"{RESULTS}/logs/tabulate_interventions/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_interventions/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, output: str(Path(output.csv).parents[1]),
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("evaluation/tabulate_interventions"),
        code=code_of("evaluation/tabulate_interventions"),
    shell:
        "python {params.program} --results {params.results}"
        " --model {wildcards.model} --interventions {input.interventions}"
        " --references {input.references} --resamples {params.resamples}"
        " --level {params.level} --seed {params.seed} --csv {output.csv}"
        " --markdown {output.markdown} --page {output.page} 2> {log}"


rule compare_interventions:
    input:
        scores=rules.tabulate_interventions.input.scores,
        perplexities=rules.tabulate_interventions.input.perplexities,
        interventions=f"{RESULTS}/interventions.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.tests.csv",
        markdown=f"{RESULTS}/tables/{{model}}.tests.md",
    log:
        f"{RESULTS}/logs/compare_interventions/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_interventions/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, output: str(Path(output.csv).parents[1]),
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("evaluation/compare_interventions"),
        code=code_of("evaluation/compare_interventions"),
    shell:
        "python {params.program} --results {params.results}"
        " --model {wildcards.model} --interventions {input.interventions}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule compare_models:
    input:
        totals=expand(f"{RESULTS}/totals/{{model}}/{DIRECTION}.csv", model=MODELS),
        groups=expand(f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv", model=MODELS),
        tables=expand(f"{RESULTS}/tables/{{model}}.csv", model=MODELS),
        tests=expand(f"{RESULTS}/tables/{{model}}.tests.csv", model=MODELS),
    output:
        csv=f"{RESULTS}/tables/comparison.csv",
        markdown=f"{RESULTS}/tables/comparison.md",
        page=report(
            f"{RESULTS}/tables/comparison.html",
            caption="../report/comparison.rst",
            category="comparison",
            subcategory="tables",
            labels={"figure": "models side by side"},
        ),
    log:
        f"{RESULTS}/logs/compare_models.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_models.tsv"
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, output: str(Path(output.csv).parents[1]),
        models=MODELS,
        direction=DIRECTION,
        program=path_of("evaluation/compare_models"),
        code=code_of("evaluation/compare_models"),
    shell:
        "python {params.program} --results {params.results}"
        " --models {params.models} --direction {params.direction}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"


rule predict_toxicity:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{intervention}}.parquet",
            intervention=[
                name for name in STUDY.interventions if STUDY.direction(name) == DIRECTION
            ],
        ),
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        direction=direction_file(DIRECTION),
    output:
        rows=f"{RESULTS}/prediction/{{model}}.csv",
        correlations=f"{RESULTS}/prediction/{{model}}.correlations.csv",
    log:
        f"{RESULTS}/logs/predict_toxicity/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_toxicity/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        program=path_of("evaluation/predict_toxicity"),
        code=code_of("evaluation/predict_toxicity"),
    shell:
        "python {params.program} --table {input.table} --plans {input.plans}"
        " --contributions {input.contributions} --checkpoint-pre {input.checkpoint}"
        " --direction {input.direction} --resamples {params.resamples} --level {params.level}"
        " --seed {params.seed} --output {output.rows} --correlations {output.correlations} 2> {log}"
