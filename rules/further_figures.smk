"""The figures that the papers lack, 7 on: one program a kind of figure."""

SUBSPACES = [
    direction
    for direction in STUDY.names_with("directions", "svd")
    if config["directions"][direction]["components"] > 1
]
FIGURES += expand(
    f"{RESULTS}/figures/{{model}}/{{figure}}.{{extension}}",
    model=MODELS,
    figure=[
        "7_cancellation",
        "8_net_curve",
        "9_prediction",
        "10_activation_changes",
        "11_edit_grid",
        "12_key_scaling",
        "13_reduction_sources",
        "14_residual_shift",
        "15_value_changes",
        *expand("17_subspace_{direction}", direction=SUBSPACES),
    ],
    extension=FIGURE_EXTENSIONS,
)
FIGURES += expand(
    f"{RESULTS}/figures/comparison/16_models.{{extension}}", extension=FIGURE_EXTENSIONS
)


rule draw_cancellation:
    input:
        cancellation=f"{RESULTS}/cancellation/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("7_cancellation"),
    log:
        f"{RESULTS}/logs/draw_cancellation/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_cancellation/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_cancellation"),
    shell:
        "python {SCRIPTS}/figures/draw_cancellation.py --cancellation {input.cancellation}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_net_curve:
    input:
        curve=f"{RESULTS}/net_curve/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("8_net_curve"),
    log:
        f"{RESULTS}/logs/draw_net_curve/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_net_curve/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_net_curve"),
    shell:
        "python {SCRIPTS}/figures/draw_net_curve.py --curve {input.curve}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_prediction:
    input:
        prediction=f"{RESULTS}/prediction/{{model}}.csv",
        correlations=f"{RESULTS}/prediction/{{model}}.correlations.csv",
    output:
        **figure_files("9_prediction"),
    log:
        f"{RESULTS}/logs/draw_prediction/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_prediction/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_prediction"),
    shell:
        "python {SCRIPTS}/figures/draw_prediction.py --prediction {input.prediction}"
        " --correlations {input.correlations} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_activation_changes:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
    output:
        **figure_files("10_activation_changes"),
    log:
        f"{RESULTS}/logs/draw_activation_changes/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_activation_changes/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_activation_changes"),
    shell:
        "python {SCRIPTS}/figures/draw_activation_changes.py --contributions {input.contributions}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_edit_grid:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("11_edit_grid"),
    log:
        f"{RESULTS}/logs/draw_edit_grid/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_edit_grid/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        rows=STUDY.edit_rows(),
        stem=stem_of,
        code=code_of("figures/draw_edit_grid"),
    shell:
        "python {SCRIPTS}/figures/draw_edit_grid.py --table {input.table} --rows {params.rows}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_key_scaling:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("12_key_scaling"),
    log:
        f"{RESULTS}/logs/draw_key_scaling/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_key_scaling/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        rows=STUDY.key_scaling_rows(),
        stem=stem_of,
        code=code_of("figures/draw_key_scaling"),
    shell:
        "python {SCRIPTS}/figures/draw_key_scaling.py --table {input.table} --rows {params.rows}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_reduction_sources:
    input:
        sources=f"{RESULTS}/decompositions/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("13_reduction_sources"),
    log:
        f"{RESULTS}/logs/draw_reduction_sources/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_reduction_sources/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_reduction_sources"),
    shell:
        "python {SCRIPTS}/figures/draw_reduction_sources.py --sources {input.sources}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_residual_shift:
    input:
        prompts=f"{RESULTS}/residuals/{{model}}/prompts.csv",
        layers=f"{RESULTS}/residuals/{{model}}/layers.csv",
    output:
        **figure_files("14_residual_shift"),
    log:
        f"{RESULTS}/logs/draw_residual_shift/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_residual_shift/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        stem=stem_of,
        code=code_of("figures/draw_residual_shift"),
    shell:
        "python {SCRIPTS}/figures/draw_residual_shift.py --prompts {input.prompts}"
        " --layers {input.layers}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_value_changes:
    input:
        changes=f"{RESULTS}/residuals/{{model}}/value_changes.csv",
    output:
        **figure_files("15_value_changes"),
    log:
        f"{RESULTS}/logs/draw_value_changes/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_value_changes/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        stem=stem_of,
        code=code_of("figures/draw_value_changes"),
    shell:
        "python {SCRIPTS}/figures/draw_value_changes.py --changes {input.changes}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule draw_model_comparison:
    input:
        comparison=f"{RESULTS}/tables/comparison.csv",
    output:
        json=f"{RESULTS}/figures/comparison/16_models.json",
        html=report(
            f"{RESULTS}/figures/comparison/16_models.html",
            caption="../report/figures/16_models.rst",
            category="comparison",
            subcategory="figures",
            labels={"figure": "16_models"},
        ),
        svg=f"{RESULTS}/figures/comparison/16_models.svg",
        png=f"{RESULTS}/figures/comparison/16_models.png",
    log:
        f"{RESULTS}/logs/draw_model_comparison.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_model_comparison.tsv"
    conda:
        ENVIRONMENT
    params:
        interventions=COMPARED,
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("figures/draw_model_comparison"),
    shell:
        "python {SCRIPTS}/figures/draw_model_comparison.py --comparison {input.comparison}"
        " --interventions {params.interventions} --direction-name {params.direction_name}"
        " --output-stem {params.stem} 2> {log}"


rule draw_subspace:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
    output:
        **figure_files("17_subspace_{direction}", caption="17_subspace"),
    log:
        f"{RESULTS}/logs/draw_subspace/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_subspace/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        stem=stem_of,
        code=code_of("figures/draw_subspace"),
    shell:
        "python {SCRIPTS}/figures/draw_subspace.py --contributions {input.contributions}"
        " --direction-name {wildcards.direction}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"
