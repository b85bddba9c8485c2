"""Data sets of a study: made in the synthetic language, or imported from disk or a hub."""


rule write_synthetic_data:
    output:
        rows=f"{DATA}/{{dataset}}.jsonl",
        source=f"{DATA}/{{dataset}}.source.json",
    log:
        log_path("write_synthetic_data", "{dataset}"),
    benchmark:
        benchmark_path("write_synthetic_data", "{dataset}")
    wildcard_constraints:
        dataset=any_of(STUDY.names_with("data", "synthetic")),
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        rows=rows_of_data,
        seed=SEED,
        code=code_of("study/write_synthetic_data"),
    shell:
        "python {resources.scripts}/study/write_synthetic_data.py --dataset {wildcards.dataset}"
        " --rows {params.rows} --seed {params.seed} --output {output.rows}"
        " --source-output {output.source} 2> {log}"


rule fetch_from_hub:
    output:
        files=directory(f"{FETCHED}/{{entry}}"),
        source=f"{FETCHED}/{{entry}}.source.json",
    log:
        log_path("fetch_from_hub", "{entry}"),
    benchmark:
        benchmark_path("fetch_from_hub", "{entry}")
    wildcard_constraints:
        entry=any_of(STUDY.on_hub),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        pin=pin_of_entry,
        code=code_of("study/fetch_from_hub"),
    shell:
        "python {resources.scripts}/study/fetch_from_hub.py {params.pin} --output {output.files}"
        " --source-output {output.source} 2> {log}"


rule import_data:
    input:
        path_of_data,
    output:
        rows=f"{DATA}/{{dataset}}.jsonl",
        source=f"{DATA}/{{dataset}}.source.json",
    log:
        log_path("import_data", "{dataset}"),
    benchmark:
        benchmark_path("import_data", "{dataset}")
    wildcard_constraints:
        dataset=any_of(STUDY.names_with("data", "file")),
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        paths=paths_as_options,
        selection=selection_of_data,
        code=code_of("study/import_data"),
    shell:
        "python {resources.scripts}/study/import_data.py"
        " --dataset {wildcards.dataset} {params.paths}"
        " {params.selection} --output {output.rows} --source-output {output.source} 2> {log}"


use rule import_data as import_hub_data with:
    input:
        **folder("files", f"{FETCHED}/data.{{dataset}}"),
    wildcard_constraints:
        dataset=any_of(STUDY.names_with("data", "hub")),
    params:
        paths=fetched_paths_as_options,
        selection=selection_of_data,
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
        log_path("tabulate_sources"),
    benchmark:
        benchmark_path("tabulate_sources")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        results=results_folder,
        code=code_of("study/tabulate_sources"),
    shell:
        "python {resources.scripts}/study/tabulate_sources.py --results {params.results}"
        " --sources {input} --csv {output.csv} --page {output.page} 2> {log}"
