"""Figures 7, 8, 10, 13 to 15, 17 to 23 and 25, of what changed. Their base rule is in figures.smk."""


use rule draw_figure as draw_cancellation with:
    input:
        vega=VEGA,
        cancellation=f"{RESULTS}/cancellation/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("7_cancellation"),
    log:
        log_path("draw_cancellation", "{model}"),
    benchmark:
        benchmark_path("draw_cancellation", "{model}")
    params:
        **drawn_by("draw_cancellation", direction_name=DIRECTION),


use rule draw_figure as draw_net_curve with:
    input:
        vega=VEGA,
        curve=f"{RESULTS}/net_curve/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("8_net_curve"),
    log:
        log_path("draw_net_curve", "{model}"),
    benchmark:
        benchmark_path("draw_net_curve", "{model}")
    params:
        **drawn_by("draw_net_curve", direction_name=DIRECTION),


use rule draw_figure as draw_activation_changes with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
    output:
        **figure_files("10_activation_changes"),
    log:
        log_path("draw_activation_changes", "{model}"),
    benchmark:
        benchmark_path("draw_activation_changes", "{model}")
    params:
        **drawn_by("draw_activation_changes", direction_name=DIRECTION),


use rule draw_figure as draw_activations with:
    input:
        vega=VEGA,
        contributions=CONTRIBUTIONS_TABLE,
        correlations=f"{RESULTS}/correlations/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("23_activations"),
    log:
        log_path("draw_activations", "{model}"),
    benchmark:
        benchmark_path("draw_activations", "{model}")
    params:
        **drawn_by("draw_activations", direction_name=DIRECTION),


use rule draw_figure as draw_reduction_sources with:
    input:
        vega=VEGA,
        sources=f"{RESULTS}/decompositions/{{model}}/{DIRECTION}.csv",
    output:
        **figure_files("13_reduction_sources"),
    log:
        log_path("draw_reduction_sources", "{model}"),
    benchmark:
        benchmark_path("draw_reduction_sources", "{model}")
    params:
        **drawn_by("draw_reduction_sources", direction_name=DIRECTION),


use rule draw_figure as draw_residual_shift with:
    input:
        vega=VEGA,
        prompts=f"{RESULTS}/residuals/{{model}}/prompts.csv",
        layers=f"{RESULTS}/residuals/{{model}}/layers.csv",
    output:
        **figure_files("14_residual_shift"),
    log:
        log_path("draw_residual_shift", "{model}"),
    benchmark:
        benchmark_path("draw_residual_shift", "{model}")
    params:
        **drawn_by("draw_residual_shift"),


use rule draw_figure as draw_activation_regions with:
    input:
        vega=VEGA,
        prompts=f"{RESULTS}/residuals/{{model}}/prompts.csv",
    output:
        **figure_files("25_activation_regions"),
    log:
        log_path("draw_activation_regions", "{model}"),
    benchmark:
        benchmark_path("draw_activation_regions", "{model}")
    params:
        **drawn_by("draw_activation_regions", direction_name=DIRECTION),


use rule draw_figure as draw_value_changes with:
    input:
        vega=VEGA,
        changes=f"{RESULTS}/residuals/{{model}}/value_changes.csv",
    output:
        **figure_files("15_value_changes"),
    log:
        log_path("draw_value_changes", "{model}"),
    benchmark:
        benchmark_path("draw_value_changes", "{model}")
    params:
        **drawn_by("draw_value_changes"),


use rule draw_figure as draw_subspace with:
    input:
        vega=VEGA,
        contributions=f"{RESULTS}/contributions/{{model}}/{{direction}}.parquet",
    output:
        **figure_files("17_subspace_{direction}", caption="17_subspace"),
    log:
        log_path("draw_subspace", "{model}", "{direction}"),
    benchmark:
        benchmark_path("draw_subspace", "{model}", "{direction}")
    params:
        **drawn_by("draw_subspace", direction_name="{direction}"),


use rule draw_figure as draw_rewards with:
    input:
        vega=VEGA,
        rewards=f"{RESULTS}/checkpoints/{{model}}/post.rewards.csv",
    output:
        **figure_files("18_rewards"),
    log:
        log_path("draw_rewards", "{model}"),
    benchmark:
        benchmark_path("draw_rewards", "{model}")
    wildcard_constraints:
        model=any_of(STUDY.models_with("post", *TUNED_ON_PAIRS)),
    params:
        **drawn_by("draw_rewards"),


use rule draw_figure as draw_weight_changes with:
    input:
        vega=VEGA,
        changes=f"{RESULTS}/weight_changes/{{model}}.csv",
    output:
        **figure_files("19_weight_changes"),
    log:
        log_path("draw_weight_changes", "{model}"),
    benchmark:
        benchmark_path("draw_weight_changes", "{model}")
    params:
        **drawn_by("draw_weight_changes", direction_name=DIRECTION),


use rule draw_figure as draw_stream_split with:
    input:
        vega=VEGA,
        layers=f"{RESULTS}/stream_split/{{model}}/{DIRECTION}.layers.csv",
    output:
        **figure_files("20_stream_split"),
    log:
        log_path("draw_stream_split", "{model}"),
    benchmark:
        benchmark_path("draw_stream_split", "{model}")
    params:
        **drawn_by("draw_stream_split", direction_name=DIRECTION),


use rule draw_figure as draw_feature_shifts with:
    input:
        vega=VEGA,
        split=f"{RESULTS}/features/{{model}}/{{autoencoder}}.csv",
    output:
        **figure_files("22_features_{autoencoder}", caption="22_features"),
    log:
        log_path("draw_feature_shifts", "{model}", "{autoencoder}"),
    benchmark:
        benchmark_path("draw_feature_shifts", "{model}", "{autoencoder}")
    params:
        **drawn_by(
            "draw_feature_shifts", direction_name=DIRECTION, autoencoder_name="{autoencoder}"
        ),


use rule draw_figure as draw_token_probabilities with:
    input:
        vega=VEGA,
        probabilities=f"{RESULTS}/token_probabilities/{{model}}.csv",
    output:
        **figure_files("21_token_probabilities"),
    log:
        log_path("draw_token_probabilities", "{model}"),
    benchmark:
        benchmark_path("draw_token_probabilities", "{model}")
    params:
        **drawn_by("draw_token_probabilities"),
