"""Evaluation: scores, the table of interventions, their tests, the comparison of models."""

TABLES = expand(
    f"{RESULTS}/tables/{{table}}.{{extension}}",
    table=[*MODELS, "comparison"],
    extension=["csv", "md", "html"],
) + expand(f"{RESULTS}/tables/{{model}}.tests.{{extension}}", model=MODELS, extension=["csv", "md"])
SCORES = expand(
    f"{RESULTS}/scores/{{{{model}}}}/{{intervention}}.parquet", intervention=STUDY.interventions
)
PERPLEXITIES = expand(
    f"{RESULTS}/perplexity/{{{{model}}}}/{{intervention}}.json", intervention=STUDY.interventions
)


rule score_continuations:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/generations/{{model}}/{{intervention}}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/scores/{{model}}/{{intervention}}.parquet",
    log:
        log_path("score_continuations", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("score_continuations", "{model}", "{intervention}")
    conda:
        ENVIRONMENT
    threads: config["compute"]["threads"] if config["scorer"]["kind"] == "classifier" else 1
    resources:
        scripts=SCRIPTS,
        gpu=gpus_of(1) if config["scorer"]["kind"] == "classifier" else 0,
        running=running_of_scorer,
    params:
        scorer=options_of_scorer,
        files=scorer_files_as_options,
        code=code_of("evaluation/score_continuations"),
    shell:
        "python {resources.scripts}/evaluation/score_continuations.py"
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
        scores=SCORES,
        perplexities=PERPLEXITIES,
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
        log_path("tabulate_interventions", "{model}"),
    benchmark:
        benchmark_path("tabulate_interventions", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/tabulate_interventions"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_interventions.py --results {params.results}"
        " --model {wildcards.model} --interventions {input.interventions}"
        " --references {input.references} --resamples {params.resamples}"
        " --level {params.level} --seed {params.seed} --csv {output.csv}"
        " --markdown {output.markdown} --page {output.page} 2> {log}"


rule compare_interventions:
    input:
        scores=SCORES,
        perplexities=PERPLEXITIES,
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.tests.csv",
        markdown=f"{RESULTS}/tables/{{model}}.tests.md",
    log:
        log_path("compare_interventions", "{model}"),
    benchmark:
        benchmark_path("compare_interventions", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/compare_interventions"),
    shell:
        "python {resources.scripts}/evaluation/compare_interventions.py --results {params.results}"
        " --model {wildcards.model} --table {input.table}"
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
        log_path("compare_models"),
    benchmark:
        benchmark_path("compare_models")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        models=MODELS,
        direction=DIRECTION,
        code=code_of("evaluation/compare_models"),
    shell:
        "python {resources.scripts}/evaluation/compare_models.py --results {params.results}"
        " --models {params.models} --direction {params.direction}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"


rule predict_toxicity:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        table=f"{RESULTS}/tables/{{model}}.csv",
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{intervention}}.parquet",
            intervention=[
                name for name in STUDY.interventions if STUDY.direction(name) == DIRECTION
            ],
        ),
        scores=expand(
            f"{RESULTS}/scores/{{{{model}}}}/{{intervention}}.parquet",
            intervention=[
                name for name in STUDY.interventions if STUDY.direction(name) == DIRECTION
            ],
        ),
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        rows=f"{RESULTS}/prediction/{{model}}.csv",
        correlations=f"{RESULTS}/prediction/{{model}}.correlations.csv",
    log:
        log_path("predict_toxicity", "{model}"),
    benchmark:
        benchmark_path("predict_toxicity", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/predict_toxicity"),
    shell:
        "python {resources.scripts}/evaluation/predict_toxicity.py --table {input.table}"
        " --plans {input.plans} --scores {input.scores}"
        " --contributions {input.contributions} --checkpoint-pre {input.checkpoint}"
        " --direction {input.direction} --resamples {params.resamples} --level {params.level}"
        " --seed {params.seed} --output {output.rows} --correlations {output.correlations} 2> {log}"
