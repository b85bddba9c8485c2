"""Tables of a model's interventions: measures, tests, faithfulness, random sets, verdicts."""


rule tabulate_samples:
    input:
        scores=expand(
            f"{RESULTS}/samples/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.sampled_entries,
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
            f"{RESULTS}/plans/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.rows_by_entry,
        ),
        continuations=expand(
            f"{RESULTS}/generations/{{{{model}}}}/{{entry}}/{{prompts}}.jsonl",
            entry=STUDY.rows_by_entry,
            prompts=["challenge_prompts", "reference_sentences"],
        ),
        scores=SCORES,
        perplexities=PERPLEXITIES,
        references=data_of_model("reference_sentences"),
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
            f"{RESULTS}/faithfulness/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.rows_by_entry,
        ),
        continuations=expand(
            f"{RESULTS}/generations/{{{{model}}}}/{{entry}}/challenge_prompts.jsonl",
            entry=STUDY.rows_by_entry,
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
            f"{RESULTS}/random_sets/{{{{model}}}}/{{entry}}.jsonl",
            entry=STUDY.entries_with_random_sets,
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
            f"{RESULTS}/plans/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.rows_by_entry,
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
