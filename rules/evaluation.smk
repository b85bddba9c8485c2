"""Evaluation: scores of the continuations, and the table of all interventions."""

TABLES = expand(
    f"{RESULTS}/tables/{{model}}.{{extension}}", model=MODELS, extension=["csv", "md", "html"]
)


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
        code=code_of("score_continuations"),
    shell:
        "python workflow_scripts/score_continuations.py --continuations {input.continuations}"
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
        interventions=[f"{name}={STUDY.stage(name)}" for name in STUDY.interventions],
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("tabulate_interventions"),
    shell:
        "python workflow_scripts/tabulate_interventions.py --results {params.results}"
        " --model {wildcards.model} --interventions {params.interventions}"
        " --references {input.references} --resamples {params.resamples}"
        " --level {params.level} --seed {params.seed} --csv {output.csv}"
        " --markdown {output.markdown} --page {output.page} 2> {log}"
