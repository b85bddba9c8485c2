"""The figures of the paper, 1a to 5b, and the trade-off it tabulates: one program a kind of figure."""

ABLATED = STUDY.drawn_ablation
FIGURE_EXTENSIONS = ["json", "html", "svg", "png"]
FIGURES = expand(
    f"{RESULTS}/figures/{{model}}/{{figure}}.{{extension}}",
    model=MODELS,
    figure=[
        "1a_layer_projections",
        "1b_cumulative_reduction",
        "2a_group_shares",
        "2b_rank_composition",
        "2c_projection_shifts",
        "3_layer_reduction",
        "4_top_activations",
        "5a_top_toxic_shifts",
        "5b_later_toxic_shifts",
        "6_tradeoff",
    ],
    extension=FIGURE_EXTENSIONS,
)


rule draw_layer_projections:
    input:
        **({"ablated": f"{RESULTS}/activations/{{model}}/{ABLATED}.h5"} if ABLATED else {}),
        before=f"{RESULTS}/activations/{{model}}/pre.h5",
        after=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        **figure_files("1a_layer_projections"),
    log:
        f"{RESULTS}/logs/draw_layer_projections/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_layer_projections/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        ablated=lambda wildcards, input: (options({"ablated": input.ablated}) if ABLATED else ""),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_layer_projections"),
    shell:
        "python {SCRIPTS}/figures/draw_layer_projections.py --before {input.before}"
        " {params.ablated} --after {input.after} --direction {input.direction}"
        " --direction-name {params.direction_name} --model {wildcards.model}"
        " --output-stem {params.stem} 2> {log}"


rule draw_cumulative_reduction:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("1b_cumulative_reduction"),
    log:
        f"{RESULTS}/logs/draw_cumulative_reduction/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_cumulative_reduction/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_cumulative_reduction"),
    shell:
        "python {SCRIPTS}/figures/draw_cumulative_reduction.py --contributions {input.contributions}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_group_shares:
    input:
        groups=f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("2a_group_shares"),
    log:
        f"{RESULTS}/logs/draw_group_shares/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_group_shares/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_group_shares"),
    shell:
        "python {SCRIPTS}/figures/draw_group_shares.py --groups {input.groups}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_rank_composition:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("2b_rank_composition"),
    log:
        f"{RESULTS}/logs/draw_rank_composition/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_rank_composition/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=options(config["figures"]["2b_rank_composition"]),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_rank_composition"),
    shell:
        "python {SCRIPTS}/figures/draw_rank_composition.py --contributions {input.contributions}"
        " {params.settings} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_projection_shifts:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("2c_projection_shifts"),
    log:
        f"{RESULTS}/logs/draw_projection_shifts/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_projection_shifts/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=options(config["figures"]["2c_projection_shifts"]),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_projection_shifts"),
    shell:
        "python {SCRIPTS}/figures/draw_projection_shifts.py --contributions {input.contributions}"
        " --ranked-by reduction --quantity projection --first 1 {params.settings} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_layer_reduction:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("3_layer_reduction"),
    log:
        f"{RESULTS}/logs/draw_layer_reduction/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_layer_reduction/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_layer_reduction"),
    shell:
        "python {SCRIPTS}/figures/draw_layer_reduction.py --contributions {input.contributions}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_top_activations:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("4_top_activations"),
    log:
        f"{RESULTS}/logs/draw_top_activations/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_top_activations/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=options(config["figures"]["4_top_activations"]),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_top_activations"),
    shell:
        "python {SCRIPTS}/figures/draw_top_activations.py --contributions {input.contributions}"
        " {params.settings} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_top_toxic_shifts:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("5a_top_toxic_shifts"),
    log:
        f"{RESULTS}/logs/draw_top_toxic_shifts/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_top_toxic_shifts/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=options(config["figures"]["5a_top_toxic_shifts"]),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_projection_shifts"),
    shell:
        "python {SCRIPTS}/figures/draw_projection_shifts.py --contributions {input.contributions}"
        " --ranked-by reduction --quantity activation {params.settings} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_later_toxic_shifts:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("5b_later_toxic_shifts"),
    log:
        f"{RESULTS}/logs/draw_later_toxic_shifts/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_later_toxic_shifts/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        settings=options(config["figures"]["5b_later_toxic_shifts"]),
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_projection_shifts"),
    shell:
        "python {SCRIPTS}/figures/draw_projection_shifts.py --contributions {input.contributions}"
        " --ranked-by reduction --quantity activation {params.settings} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_tradeoff:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("6_tradeoff"),
    log:
        f"{RESULTS}/logs/draw_tradeoff/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_tradeoff/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        stem=stem_of,
        code=code_of("figures/draw_tradeoff"),
    shell:
        "python {SCRIPTS}/figures/draw_tradeoff.py --table {input.table}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"
