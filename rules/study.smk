"""The data that a study reads: made in the synthetic language, or from disk or a hub, checked."""


rule write_synthetic_data:
    output:
        rows=f"{DATA}/{{dataset}}.jsonl",
        source=f"{DATA}/{{dataset}}.source.json",
    log:
        f"{RESULTS}/logs/write_synthetic_data/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_synthetic_data/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=match_any(STUDY.names_with("data", "synthetic")),
    conda:
        ENVIRONMENT
    params:
        rows=lambda wildcards: config["data"][wildcards.dataset].get("rows", 0),
        seed=SEED,
        program=path_of("study/write_synthetic_data"),
        code=code_of("study/write_synthetic_data"),
    shell:
        "python {params.program} --dataset {wildcards.dataset}"
        " --rows {params.rows} --seed {params.seed} --output {output.rows}"
        " --source-output {output.source} 2> {log}"


rule fetch_from_hub:
    output:
        files=directory(f"{FETCHED}/{{entry}}"),
        source=f"{FETCHED}/{{entry}}.source.json",
    log:
        f"{RESULTS}/logs/fetch_from_hub/{{entry}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_from_hub/{{entry}}.tsv"
    wildcard_constraints:
        entry=match_any(STUDY.on_hub),
    conda:
        ENVIRONMENT
    params:
        pin=lambda wildcards: STUDY.fetch_options(wildcards.entry),
        program=path_of("study/fetch_from_hub"),
        code=code_of("study/fetch_from_hub"),
    shell:
        "python {params.program} {params.pin} --output {output.files}"
        " --source-output {output.source} 2> {log}"


rule import_data:
    input:
        lambda wildcards: STUDY.data_paths(wildcards.dataset),
    output:
        rows=f"{DATA}/{{dataset}}.jsonl",
        source=f"{DATA}/{{dataset}}.source.json",
    log:
        f"{RESULTS}/logs/import_data/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_data/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=match_any(STUDY.names_with("data", "file")),
    conda:
        ENVIRONMENT
    params:
        paths=lambda wildcards: options({"paths": STUDY.data_paths(wildcards.dataset)}),
        selection=lambda wildcards: STUDY.selection_options(wildcards.dataset),
        program=path_of("study/import_data"),
        code=code_of("study/import_data"),
    shell:
        "python {params.program} --dataset {wildcards.dataset} {params.paths}"
        " {params.selection} --output {output.rows} --source-output {output.source} 2> {log}"


use rule import_data as import_hub_data with:
    input:
        f"{FETCHED}/data.{{dataset}}",
    wildcard_constraints:
        dataset=match_any(STUDY.names_with("data", "hub")),
    params:
        paths=lambda wildcards, input: options(
            {"paths": f"{input}/{config['data'][wildcards.dataset]['files']}"}
        ),
        selection=lambda wildcards: STUDY.selection_options(wildcards.dataset),
        program=path_of("study/import_data"),
        code=code_of("study/import_data"),


rule tabulate_sources:
    input:
        SOURCES,
    output:
        csv=f"{RESULTS}/sources.csv",
        page=report(
            f"{RESULTS}/sources.html",
            caption="../report/sources.rst",
            category="sources",
            labels={"figure": "what this study used"},
        ),
    log:
        f"{RESULTS}/logs/tabulate_sources.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_sources.tsv"
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards, output: str(Path(output.csv).parent),
        program=path_of("study/tabulate_sources"),
        code=code_of("study/tabulate_sources"),
    shell:
        "python {params.program} --results {params.results}"
        " --sources {input} --csv {output.csv} --page {output.page} 2> {log}"
