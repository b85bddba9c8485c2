"""Evaluation of several models: side by side, and over the seeds of one recipe."""


rule compare_seeds:
    input:
        tables=tables_of_seeds,
        tests=tests_of_seeds,
        groups=groups_of_seeds,
    output:
        csv=f"{RESULTS}/tables/{{model}}.seeds.csv",
        markdown=f"{RESULTS}/tables/{{model}}.seeds.md",
        page=report(
            f"{RESULTS}/tables/{{model}}.seeds.html",
            caption="../report/seeds.rst",
            category="{model}",
            subcategory="tables",
            labels={"figure": "over seeds"},
        ),
    log:
        log_path("compare_seeds", "{model}"),
    benchmark:
        benchmark_path("compare_seeds", "{model}")
    wildcard_constraints:
        model=any_of(STUDY.seeds_by_recipe),
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        models=models_of_seeds,
        code=code_of("evaluation/compare_seeds"),
    shell:
        "python {resources.scripts}/evaluation/compare_seeds.py --models {params.models}"
        " --tables {input.tables} --tests {input.tests} --groups {input.groups}"
        " --csv {output.csv} --markdown {output.markdown} --page {output.page} 2> {log}"


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
        stream=expand(f"{RESULTS}/stream_split/{{model}}/{DIRECTION}.totals.csv", model=MODELS),
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
