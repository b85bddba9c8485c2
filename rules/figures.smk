"""The figures of the paper, 1a to 5b, and those that it lacks: one program a kind of figure."""

ABLATED = config["figures"]["1a_layer_projections"]["ablated"]
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
        "7_cancellation",
        "8_net_curve",
        "9_prediction",
        "10_activation_changes",
        "11_edit_grid",
        "12_key_scaling",
    ],
    extension=["json", "html", "svg", "png"],
)


rule draw_layer_projections:
    input:
        before=f"{RESULTS}/activations/{{model}}/pre.h5",
        ablated=f"{RESULTS}/activations/{{model}}/{ABLATED}.h5",
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
        direction_name=DIRECTION,
        stem=stem_of,
        code=code_of("draw_layer_projections"),
    shell:
        "python workflow_scripts/draw_layer_projections.py --before {input.before}"
        " --ablated {input.ablated} --after {input.after} --direction {input.direction} --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


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
        code=code_of("draw_cumulative_reduction"),
    shell:
        "python workflow_scripts/draw_cumulative_reduction.py --contributions {input.contributions}"
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
        code=code_of("draw_group_shares"),
    shell:
        "python workflow_scripts/draw_group_shares.py --groups {input.groups}"
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
        code=code_of("draw_rank_composition"),
    shell:
        "python workflow_scripts/draw_rank_composition.py --contributions {input.contributions}"
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
        code=code_of("draw_projection_shifts"),
    shell:
        "python workflow_scripts/draw_projection_shifts.py --contributions {input.contributions}"
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
        code=code_of("draw_layer_reduction"),
    shell:
        "python workflow_scripts/draw_layer_reduction.py --contributions {input.contributions}"
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
        code=code_of("draw_top_activations"),
    shell:
        "python workflow_scripts/draw_top_activations.py --contributions {input.contributions}"
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
        code=code_of("draw_projection_shifts"),
    shell:
        "python workflow_scripts/draw_projection_shifts.py --contributions {input.contributions}"
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
        code=code_of("draw_projection_shifts"),
    shell:
        "python workflow_scripts/draw_projection_shifts.py --contributions {input.contributions}"
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
        code=code_of("draw_tradeoff"),
    shell:
        "python workflow_scripts/draw_tradeoff.py --table {input.table}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule summarise_cancellation:
    input:
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
        activations_pre=f"{RESULTS}/activations/{{model}}/pre.h5",
        activations_post=f"{RESULTS}/activations/{{model}}/post.h5",
    output:
        layers=f"{RESULTS}/cancellation/{{model}}/{{direction}}.csv",
        curve=f"{RESULTS}/net_curve/{{model}}/{{direction}}.csv",
        neurons=f"{RESULTS}/strongest_neurons/{{model}}/{{direction}}.csv",
    log:
        f"{RESULTS}/logs/summarise_cancellation/{{model}}/{{direction}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise_cancellation/{{model}}/{{direction}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("summarise_cancellation"),
    shell:
        "python workflow_scripts/summarise_cancellation.py --contributions {input.contributions}"
        " --activations-pre {input.activations_pre} --activations-post {input.activations_post}"
        " --resamples {params.resamples} --level {params.level} --seed {params.seed}"
        " --output {output.layers} --curve {output.curve} --neurons {output.neurons} 2> {log}"


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
        code=code_of("draw_cancellation"),
    shell:
        "python workflow_scripts/draw_cancellation.py --cancellation {input.cancellation}"
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
        code=code_of("draw_net_curve"),
    shell:
        "python workflow_scripts/draw_net_curve.py --curve {input.curve}"
        " --direction-name {params.direction_name}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


rule predict_toxicity:
    input:
        table=f"{RESULTS}/tables/{{model}}.csv",
        plans=expand(
            f"{RESULTS}/plans/{{{{model}}}}/{{intervention}}.parquet",
            intervention=[
                name for name in STUDY.interventions if STUDY.direction(name) == DIRECTION
            ],
        ),
        contributions=f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet",
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/pre",
        direction=direction_file(DIRECTION),
    output:
        rows=f"{RESULTS}/prediction/{{model}}.csv",
        correlations=f"{RESULTS}/prediction/{{model}}.correlations.csv",
    log:
        f"{RESULTS}/logs/predict_toxicity/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_toxicity/{{model}}.tsv"
    conda:
        ENVIRONMENT
    params:
        resamples=config["bootstrap"]["resamples"],
        level=config["bootstrap"]["level"],
        seed=SEED,
        code=code_of("predict_toxicity"),
    shell:
        "python workflow_scripts/predict_toxicity.py --table {input.table} --plans {input.plans}"
        " --contributions {input.contributions} --checkpoint-pre {input.checkpoint}"
        " --direction {input.direction} --resamples {params.resamples} --level {params.level}"
        " --seed {params.seed} --output {output.rows} --correlations {output.correlations} 2> {log}"


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
        code=code_of("draw_prediction"),
    shell:
        "python workflow_scripts/draw_prediction.py --prediction {input.prediction}"
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
        code=code_of("draw_activation_changes"),
    shell:
        "python workflow_scripts/draw_activation_changes.py --contributions {input.contributions}"
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
        code=code_of("draw_edit_grid"),
    shell:
        "python workflow_scripts/draw_edit_grid.py --table {input.table} --rows {params.rows}"
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
        code=code_of("draw_key_scaling"),
    shell:
        "python workflow_scripts/draw_key_scaling.py --table {input.table} --rows {params.rows}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


FIGURES += expand(
    f"{RESULTS}/figures/{{model}}/{{figure}}.{{extension}}",
    model=MODELS,
    figure=["13_reduction_sources", "14_residual_shift", "15_value_changes"],
    extension=["json", "html", "svg", "png"],
)


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
        code=code_of("draw_reduction_sources"),
    shell:
        "python workflow_scripts/draw_reduction_sources.py --sources {input.sources}"
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
        code=code_of("draw_residual_shift"),
    shell:
        "python workflow_scripts/draw_residual_shift.py --prompts {input.prompts}"
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
        code=code_of("draw_value_changes"),
    shell:
        "python workflow_scripts/draw_value_changes.py --changes {input.changes}"
        " --model {wildcards.model} --output-stem {params.stem} 2> {log}"


FIGURES += expand(
    f"{RESULTS}/figures/comparison/16_models.{{extension}}",
    extension=["json", "html", "svg", "png"],
)


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
        code=code_of("draw_model_comparison"),
    shell:
        "python workflow_scripts/draw_model_comparison.py --comparison {input.comparison}"
        " --interventions {params.interventions} --direction-name {params.direction_name}"
        " --output-stem {params.stem} 2> {log}"
