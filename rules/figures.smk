"""The figures, and the rules of 1a to 5b, which are those of the paper's first version."""

ABLATED = STUDY.drawn_ablation
CONTRIBUTIONS_TABLE = f"{RESULTS}/contributions/{{model}}/{DIRECTION}.parquet"
SUBSPACES = [
    direction
    for direction in STUDY.names_with("directions", "svd")
    if config["directions"][direction]["components"] > 1
]
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
        "7_cancellation",
        "8_net_curve",
        "9_prediction",
        "10_activation_changes",
        "13_reduction_sources",
        "14_residual_shift",
        "15_value_changes",
        "19_weight_changes",
        *expand("17_subspace_{direction}", direction=SUBSPACES),
        "20_stream_split",
        *figures_of_settings(),
        "23_activations",
        "25_activation_regions",
    ],
    extension=FIGURE_EXTENSIONS,
)
FIGURES += expand(
    f"{RESULTS}/figures/{{model}}/18_rewards.{{extension}}",
    model=STUDY.models_with("post", *TUNED_ON_PAIRS),
    extension=FIGURE_EXTENSIONS,
)
for model_with_autoencoders, autoencoders in STUDY.autoencoders.items():
    FIGURES += expand(
        f"{RESULTS}/figures/{model_with_autoencoders}/22_features_{{autoencoder}}.{{extension}}",
        autoencoder=autoencoders,
        extension=FIGURE_EXTENSIONS,
    )
FIGURES += expand(
    f"{RESULTS}/figures/comparison/16_models.{{extension}}", extension=FIGURE_EXTENSIONS
)


VEGA = f"{RESULTS}/figures/vega.js"


# Once for all pages: bundling takes as long as drawing.
rule bundle_vega:
    output:
        VEGA,
    log:
        log_path("bundle_vega"),
    benchmark:
        benchmark_path("bundle_vega")
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        code=code_of("figures/bundle_vega"),
    shell:
        "python {resources.scripts}/figures/bundle_vega.py --output {output} 2> {log}"


# The base of all figures' rules. It has no output and never runs itself.
rule draw_figure:
    log:
        log_path("draw_figure"),
    conda:
        ENVIRONMENT
    resources:
        scripts=SCRIPTS,
    params:
        files=files_as_options,
        model="--model {model}",
        stem=stem_of,
    shell:
        "python {resources.scripts}/figures/{params.program}.py {params.files} {params.settings}"
        " {params.model} --output-stem {params.stem} 2> {log}"


use rule draw_figure as draw_layer_projections with:
    input:
        **({"ablated": f"{RESULTS}/activations/{{model}}/{ABLATED}.h5"} if ABLATED else {}),
        vega=VEGA,
        before=f"{RESULTS}/activations/{{model}}/pre.h5",
        after=f"{RESULTS}/activations/{{model}}/post.h5",
        direction=f"{RESULTS}/directions/{{model}}/{DIRECTION}.safetensors",
    output:
        **figure_files("1a_layer_projections"),
    log:
        log_path("draw_layer_projections", "{model}"),
    benchmark:
        benchmark_path("draw_layer_projections", "{model}")
    params:
        **drawn_by("draw_layer_projections", direction_name=DIRECTION),


use rule draw_figure as draw_cumulative_reduction with:
    input:
        vega=VEGA,
        curve=f"{RESULTS}/net_curve/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("1b_cumulative_reduction"),
    log:
        log_path("draw_cumulative_reduction", "{model}"),
    benchmark:
        benchmark_path("draw_cumulative_reduction", "{model}")
    params:
        **drawn_by("draw_cumulative_reduction", direction_name=DIRECTION),


use rule draw_figure as draw_group_shares with:
    input:
        vega=VEGA,
        groups=f"{RESULTS}/groups/{{model}}/{DIRECTION}.csv",
        random_directions=f"{RESULTS}/random_directions/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("2a_group_shares"),
    log:
        log_path("draw_group_shares", "{model}"),
    benchmark:
        benchmark_path("draw_group_shares", "{model}")
    params:
        **drawn_by("draw_group_shares", direction_name=DIRECTION),


use rule draw_figure as draw_rank_composition with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("2b_rank_composition"),
    log:
        log_path("draw_rank_composition", "{model}"),
    benchmark:
        benchmark_path("draw_rank_composition", "{model}")
    params:
        **drawn_by(
            "draw_rank_composition",
            **config["figures"]["2b_rank_composition"],
            direction_name=DIRECTION,
        ),


use rule draw_figure as draw_projection_shifts with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("2c_projection_shifts"),
    log:
        log_path("draw_projection_shifts", "{model}"),
    benchmark:
        benchmark_path("draw_projection_shifts", "{model}")
    params:
        **drawn_by(
            "draw_projection_shifts",
            ranked_by="reduction",
            quantity="projection",
            first=1,
            **config["figures"]["2c_projection_shifts"],
            direction_name=DIRECTION,
        ),


use rule draw_figure as draw_layer_reduction with:
    input:
        vega=VEGA,
        layer_groups=f"{RESULTS}/layer_groups/{{model}}/{DIRECTION}.csv",
        contributions=CONTRIBUTIONS_TABLE,
        random_directions=f"{RESULTS}/random_directions/{{model}}/{DIRECTION}.layers.csv",
    output:
        **figure_files("3_layer_reduction"),
    log:
        log_path("draw_layer_reduction", "{model}"),
    benchmark:
        benchmark_path("draw_layer_reduction", "{model}")
    params:
        **drawn_by("draw_layer_reduction", direction_name=DIRECTION),


use rule draw_figure as draw_top_activations with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("4_top_activations"),
    log:
        log_path("draw_top_activations", "{model}"),
    benchmark:
        benchmark_path("draw_top_activations", "{model}")
    params:
        **drawn_by(
            "draw_top_activations",
            **config["figures"]["4_top_activations"],
            direction_name=DIRECTION,
        ),


use rule draw_figure as draw_top_toxic_shifts with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("5a_top_toxic_shifts"),
    log:
        log_path("draw_top_toxic_shifts", "{model}"),
    benchmark:
        benchmark_path("draw_top_toxic_shifts", "{model}")
    params:
        **drawn_by(
            "draw_projection_shifts",
            ranked_by="reduction",
            quantity="activation",
            **config["figures"]["5a_top_toxic_shifts"],
            direction_name=DIRECTION,
        ),


use rule draw_figure as draw_later_toxic_shifts with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("5b_later_toxic_shifts"),
    log:
        log_path("draw_later_toxic_shifts", "{model}"),
    benchmark:
        benchmark_path("draw_later_toxic_shifts", "{model}")
    params:
        **drawn_by(
            "draw_projection_shifts",
            ranked_by="reduction",
            quantity="activation",
            **config["figures"]["5b_later_toxic_shifts"],
            direction_name=DIRECTION,
        ),
