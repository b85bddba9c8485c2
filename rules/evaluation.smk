"""Evaluation: scores of texts, published numbers, a model's page, predictions."""

TABLES = expand(
    f"{RESULTS}/tables/{{table}}.{{extension}}",
    table=[*MODELS, "comparison"],
    extension=["csv", "md", "html"],
) + expand(
    f"{RESULTS}/tables/{{model}}.{{table}}.{{extension}}",
    model=MODELS,
    table=["directions", "tests", "faithfulness", "random_sets", "verdicts", "overlaps", "samples"],
    extension=["csv", "md"],
)
PAGES = expand(f"{RESULTS}/pages/{{model}}.html", model=MODELS)
TABLES += expand(
    f"{RESULTS}/tables/{{model}}.published.{{extension}}",
    model=STUDY.models_with_published_numbers,
    extension=["csv", "md"],
)
TABLES += expand(
    f"{RESULTS}/tables/{{model}}.seeds.{{extension}}",
    model=STUDY.seeds_by_recipe,
    extension=["csv", "md", "html"],
)
TABLES += expand(
    f"{RESULTS}/tables/{{model}}.{{table}}.{{extension}}",
    model=MODELS if config["further_scorers"] else [],
    table=["scorers", "agreement"],
    extension=["csv", "md"],
)
SCORES = expand(f"{RESULTS}/scores/{{{{model}}}}/{{entry}}.parquet", entry=STUDY.rows_by_entry)
PERPLEXITIES = expand(
    f"{RESULTS}/perplexity/{{{{model}}}}/{{entry}}.json", entry=STUDY.rows_by_entry
)
RANDOM_SET_SCORES = expand(
    f"{RESULTS}/random_sets/{{{{model}}}}/{{entry}}.parquet", entry=STUDY.entries_with_random_sets
)


rule score_continuations:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/generations/{{model}}/{{entry}}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/scores/{{model}}/{{entry}}.parquet",
    log:
        log_path("score_continuations", "{model}", "{entry}"),
    benchmark:
        benchmark_path("score_continuations", "{model}", "{entry}")
    conda:
        ENVIRONMENT
    threads: threads_of_scorer
    resources:
        scripts=SCRIPTS,
        gpu=gpus_of_scorer,
        mem_mb=scoring_mb,
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
        continuations=f"{RESULTS}/random_sets/{{model}}/{{entry}}.jsonl",
    output:
        f"{RESULTS}/random_sets/{{model}}/{{entry}}.parquet",
    log:
        log_path("score_random_sets", "{model}", "{entry}"),
    benchmark:
        benchmark_path("score_random_sets", "{model}", "{entry}")


use rule score_continuations as score_samples with:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/samples/{{model}}/{{entry}}.jsonl",
    output:
        f"{RESULTS}/samples/{{model}}/{{entry}}.parquet",
    log:
        log_path("score_samples", "{model}", "{entry}"),
    benchmark:
        benchmark_path("score_samples", "{model}", "{entry}")


use rule score_continuations as score_further with:
    input:
        unpack(scorer_files),
        continuations=f"{RESULTS}/generations/{{model}}/{{entry}}/challenge_prompts.jsonl",
    output:
        f"{RESULTS}/further_scores/{{model}}/{{scorer}}/{{entry}}.parquet",
    log:
        log_path("score_further", "{model}", "{scorer}", "{entry}"),
    benchmark:
        benchmark_path("score_further", "{model}", "{scorer}", "{entry}")


rule compare_scorers:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
        scores=SCORES,
        further=expand(
            f"{RESULTS}/further_scores/{{{{model}}}}/{{scorer}}/{{entry}}.parquet",
            scorer=config["further_scorers"],
            entry=STUDY.rows_by_entry,
        ),
    output:
        csv=f"{RESULTS}/tables/{{model}}.scorers.csv",
        markdown=f"{RESULTS}/tables/{{model}}.scorers.md",
        agreement_csv=f"{RESULTS}/tables/{{model}}.agreement.csv",
        agreement_markdown=f"{RESULTS}/tables/{{model}}.agreement.md",
    log:
        log_path("compare_scorers", "{model}"),
    benchmark:
        benchmark_path("compare_scorers", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        scorers=list(config["further_scorers"]),
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("evaluation/compare_scorers"),
    shell:
        "python {resources.scripts}/evaluation/compare_scorers.py --results {params.results}"
        " --model {wildcards.model} --table {input.table} --scorers {params.scorers}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --csv {output.csv} --markdown {output.markdown}"
        " --agreement-csv {output.agreement_csv}"
        " --agreement-markdown {output.agreement_markdown} 2> {log}"


rule tabulate_published:
    input:
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
        published=content_of("dpo_neurons/evaluation/published_numbers.csv"),
        published_set=setting("models", "{model}", "published"),
        direction=DIRECTION,
        code=code_of("evaluation/tabulate_published"),
    shell:
        "python {resources.scripts}/evaluation/tabulate_published.py"
        " --published {resources.scripts}/dpo_neurons/evaluation/published_numbers.csv"
        " --set {params.published_set} --table {input.table} --direction {params.direction}"
        " --totals {input.totals} --groups {input.groups}"
        " --csv {output.csv} --markdown {output.markdown} 2> {log}"


rule write_model_page:
    input:
        unpack(lexicon_of_scorer),
        table=f"{RESULTS}/tables/{{model}}.csv",
        tests=f"{RESULTS}/tables/{{model}}.tests.csv",
        random_sets=f"{RESULTS}/tables/{{model}}.random_sets.csv",
        verdicts=f"{RESULTS}/tables/{{model}}.verdicts.csv",
        stream=f"{RESULTS}/stream_split/{{model}}/{DIRECTION}.totals.csv",
        groups=f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv",
        layer_groups=f"{RESULTS}/layer_groups/{{model}}/{DIRECTION}.csv",
        random_directions=f"{RESULTS}/random_directions/{{model}}/{DIRECTION}.csv",
        decompositions=f"{RESULTS}/decompositions/{{model}}/{DIRECTION}.csv",
        sources=f"{RESULTS}/sources.csv",
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
        decomposed_neurons=f"{RESULTS}/decompositions/{{model}}/{DIRECTION}.parquet",
        largest_neurons=f"{RESULTS}/largest_neurons/{{model}}/{DIRECTION}.parquet",
        prompts=data_of_model("challenge_prompts"),
        continuations=expand(
            f"{RESULTS}/generations/{{{{model}}}}/{{entry}}/challenge_prompts.jsonl",
            entry=STUDY.rows_by_entry,
        ),
        scores=SCORES,
    output:
        report(
            f"{RESULTS}/pages/{{model}}.html",
            caption="../report/page.rst",
            category="{model}",
            subcategory="findings",
            labels={"figure": "findings, interventions, texts, neurons"},
        ),
    log:
        log_path("write_model_page", "{model}"),
    benchmark:
        benchmark_path("write_model_page", "{model}")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        files=files_as_options,
        template=content_of("dpo_neurons/evaluation/model_page.html"),
        panel_script=content_of("dpo_neurons/evaluation/neuron_panel.js"),
        code=code_of("evaluation/write_model_page"),
    shell:
        "python {resources.scripts}/evaluation/write_model_page.py --model {wildcards.model}"
        " --template {resources.scripts}/dpo_neurons/evaluation/model_page.html"
        " {params.files} --output {output} 2> {log}"


rule predict_toxicity:
    input:
        **folder("checkpoint", f"{RESULTS}/checkpoints/{{model}}/pre"),
        table=f"{RESULTS}/tables/{{model}}.csv",
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.entries_of_direction,
        ),
        scores=expand(
            f"{RESULTS}/scores/{{{{model}}}}/{{entry}}.parquet",
            entry=STUDY.entries_of_direction,
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
