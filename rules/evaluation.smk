"""Evaluation: scores, the table of interventions, their tests, the comparison of models."""

TABLES = expand(
    f"{RESULTS}/tables/{{table}}.{{extension}}",
    table=[*MODELS, "comparison"],
    extension=["csv", "md", "html"],
) + expand(
    f"{RESULTS}/tables/{{model}}.{{table}}.{{extension}}",
    model=MODELS,
    table=["tests", "faithfulness", "random_sets", "verdicts", "overlaps", "samples"],
    extension=["csv", "md"],
)
TABLES += expand(
    f"{RESULTS}/tables/{{model}}.published.{{extension}}",
    model=STUDY.models_with_published_numbers,
    extension=["csv", "md"],
)
SCORES = expand(
    f"{RESULTS}/scores/{{{{model}}}}/{{intervention}}.parquet", intervention=STUDY.interventions
)
PERPLEXITIES = expand(
    f"{RESULTS}/perplexity/{{{{model}}}}/{{intervention}}.json", intervention=STUDY.interventions
)
RANDOM_SET_SCORES = expand(
    f"{RESULTS}/random_sets/{{{{model}}}}/{{intervention}}.parquet", intervention=STUDY.random_sets
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


use rule score_continuations as score_random_sets with:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/random_sets/{{model}}/{{intervention}}.jsonl",
    output:
        f"{RESULTS}/random_sets/{{model}}/{{intervention}}.parquet",
    log:
        log_path("score_random_sets", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("score_random_sets", "{model}", "{intervention}")


use rule score_continuations as score_samples with:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/samples/{{model}}/{{intervention}}.jsonl",
    output:
        f"{RESULTS}/samples/{{model}}/{{intervention}}.parquet",
    log:
        log_path("score_samples", "{model}", "{intervention}"),
    benchmark:
        benchmark_path("score_samples", "{model}", "{intervention}")


rule tabulate_samples:
    input:
        scores=expand(
            f"{RESULTS}/samples/{{{{model}}}}/{{intervention}}.parquet",
            intervention=config["sampling"]["rows"],
        ),
    output:
        csv=f"{RESULTS}/tables/{{model}}.samples.csv",
        markdown=f"{RESULTS}/tables/{{model}}.samples.md",
    log:
        log_path("tabulate_samples", "{model}"),
    benchmark:
        benchmark_path("tabulate_samples", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        samples=config["sampling"]["per_prompt"],
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/tabulate_samples"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_samples.py --scores {input.scores}"
        " --samples {params.samples} --resamples {params.resamples} --level {params.level}"
        " --seed {params.seed} --csv {output.csv} --markdown {output.markdown} 2> {log}"


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


rule tabulate_faithfulness:
    input:
        divergences=expand(
            f"{RESULTS}/faithfulness/{{{{model}}}}/{{intervention}}.parquet",
            intervention=STUDY.interventions,
        ),
        continuations=expand(
            f"{RESULTS}/generations/{{{{model}}}}/{{intervention}}/challenge_prompts.jsonl",
            intervention=STUDY.interventions,
        ),
        scores=SCORES,
        interventions=f"{RESULTS}/interventions.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.faithfulness.csv",
        markdown=f"{RESULTS}/tables/{{model}}.faithfulness.md",
    log:
        log_path("tabulate_faithfulness", "{model}"),
    benchmark:
        benchmark_path("tabulate_faithfulness", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/tabulate_faithfulness"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_faithfulness.py --results {params.results}"
        " --model {wildcards.model} --interventions {input.interventions}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule tabulate_random_sets:
    input:
        texts=expand(
            f"{RESULTS}/random_sets/{{{{model}}}}/{{intervention}}.jsonl",
            intervention=STUDY.random_sets,
        ),
        scores=RANDOM_SET_SCORES,
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.random_sets.csv",
        markdown=f"{RESULTS}/tables/{{model}}.random_sets.md",
    log:
        log_path("tabulate_random_sets", "{model}"),
    benchmark:
        benchmark_path("tabulate_random_sets", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        level=config["bootstrap"]["level"],
        code=code_of("evaluation/tabulate_random_sets"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_random_sets.py --table {input.table}"
        " --texts {input.texts} --scores {input.scores} --level {params.level}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule tabulate_overlaps:
    input:
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{intervention}}.parquet",
            intervention=STUDY.interventions,
        ),
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        csv=f"{RESULTS}/tables/{{model}}.overlaps.csv",
        markdown=f"{RESULTS}/tables/{{model}}.overlaps.md",
    log:
        log_path("tabulate_overlaps", "{model}"),
    benchmark:
        benchmark_path("tabulate_overlaps", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("evaluation/tabulate_overlaps"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_overlaps.py --plans {input.plans}"
        " --contributions {input.contributions}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule judge_interventions:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
        tests=f"{RESULTS}/tables/{{model}}.tests.csv",
        faithfulness=f"{RESULTS}/tables/{{model}}.faithfulness.csv",
        random_sets=f"{RESULTS}/tables/{{model}}.random_sets.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.verdicts.csv",
        markdown=f"{RESULTS}/tables/{{model}}.verdicts.md",
        page=report(
            f"{RESULTS}/tables/{{model}}.verdicts.html",
            caption="../report/verdicts.rst",
            category="{model}",
            subcategory="tables",
            labels={"figure": "verdicts"},
        ),
    log:
        log_path("judge_interventions", "{model}"),
    benchmark:
        benchmark_path("judge_interventions", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("evaluation/judge_interventions"),
    shell:
        "python {resources.scripts}/evaluation/judge_interventions.py --table {input.table}"
        " --tests {input.tests} --faithfulness {input.faithfulness}"
        " --random-sets {input.random_sets} --model {wildcards.model}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"


rule tabulate_published:
    input:
        published=f"{PACKAGE_ROOT}/dpo_neurons/evaluation/published_numbers.csv",
        table=f"{RESULTS}/tables/{{model}}.csv",
        totals=f"{RESULTS}/totals/{{model}}/{DIRECTION}.csv",
        groups=f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv",
    output:
        csv=f"{RESULTS}/tables/{{model}}.published.csv",
        markdown=f"{RESULTS}/tables/{{model}}.published.md",
    log:
        log_path("tabulate_published", "{model}"),
    benchmark:
        benchmark_path("tabulate_published", "{model}")
    wildcard_constraints:
        model=any_of(STUDY.models_with_published_numbers),
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        published_set=setting("models", "{model}", "published"),
        code=code_of("evaluation/tabulate_published"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_published.py"
        " --published {input.published:q} --set {params.published_set} --table {input.table}"
        " --totals {input.totals} --groups {input.groups}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule compare_models:
    input:
        totals=expand(f"{RESULTS}/totals/{{model}}/{DIRECTION}.csv", model=MODELS),
        groups=expand(f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv", model=MODELS),
        tables=expand(f"{RESULTS}/tables/{{model}}.csv", model=MODELS),
        tests=expand(f"{RESULTS}/tables/{{model}}.tests.csv", model=MODELS),
        random_sets=expand(f"{RESULTS}/tables/{{model}}.random_sets.csv", model=MODELS),
        verdicts=expand(f"{RESULTS}/tables/{{model}}.verdicts.csv", model=MODELS),
        random_directions=expand(
            f"{RESULTS}/random_directions/{{model}}/{DIRECTION}.csv", model=MODELS
        ),
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
