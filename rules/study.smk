"""The data that a study reads: made in the synthetic language, or a user's own, checked."""


rule write_synthetic_data:
    output:
        f"{DATA}/{{dataset}}.jsonl",
    log:
        f"{RESULTS}/logs/write_synthetic_data/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_synthetic_data/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(STUDY.names_with("data", "synthetic")),
    conda:
        ENVIRONMENT
    params:
        rows=lambda wildcards: config["data"][wildcards.dataset].get("rows", 0),
        seed=SEED,
        code=code_of("write_synthetic_data"),
    shell:
        "python workflow_scripts/write_synthetic_data.py --dataset {wildcards.dataset}"
        " --rows {params.rows} --seed {params.seed} --output {output} 2> {log}"


rule import_data:
    input:
        lambda wildcards: config["data"][wildcards.dataset]["path"],
    output:
        f"{DATA}/{{dataset}}.jsonl",
    log:
        f"{RESULTS}/logs/import_data/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_data/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(STUDY.names_with("data", "file")),
    conda:
        ENVIRONMENT
    params:
        code=code_of("import_data"),
    shell:
        "python workflow_scripts/import_data.py --dataset {wildcards.dataset}"
        " --path {input} --output {output} 2> {log}"
