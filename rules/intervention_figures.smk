"""Figures of interventions: 6, 9, 11, 12, 16 and 24. Their base rule is in figures.smk."""


use rule draw_figure as draw_tradeoff with:
    input:
        vega=VEGA,
        table=f"{RESULTS}/tables/{{model}}.csv",
        random_sets=f"{RESULTS}/tables/{{model}}.random_sets.csv",
    output:
        **figure_files("6_tradeoff"),
    log:
        log_path("draw_tradeoff", "{model}"),
    benchmark:
        benchmark_path("draw_tradeoff", "{model}")
    params:
        **drawn_by("draw_tradeoff"),


use rule draw_figure as draw_prediction with:
    input:
        vega=VEGA,
        prediction=f"{RESULTS}/prediction/{{model}}.csv",
        correlations=f"{RESULTS}/prediction/{{model}}.correlations.csv",
    output:
        **figure_files("9_prediction"),
    log:
        log_path("draw_prediction", "{model}"),
    benchmark:
        benchmark_path("draw_prediction", "{model}")
    params:
        **drawn_by("draw_prediction", direction_name=DIRECTION),


use rule draw_figure as draw_edit_grid with:
    input:
        vega=VEGA,
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("11_edit_grid"),
    log:
        log_path("draw_edit_grid", "{model}"),
    benchmark:
        benchmark_path("draw_edit_grid", "{model}")
    params:
        **drawn_by("draw_edit_grid"),


use rule draw_figure as draw_key_scaling with:
    input:
        vega=VEGA,
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("12_key_scaling"),
    log:
        log_path("draw_key_scaling", "{model}"),
    benchmark:
        benchmark_path("draw_key_scaling", "{model}")
    params:
        **drawn_by("draw_key_scaling"),


use rule draw_figure as draw_samples with:
    input:
        vega=VEGA,
        samples=f"{RESULTS}/tables/{{model}}.samples.csv",
        table=f"{RESULTS}/tables/{{model}}.csv",
    output:
        **figure_files("24_samples"),
    log:
        log_path("draw_samples", "{model}"),
    benchmark:
        benchmark_path("draw_samples", "{model}")
    params:
        **drawn_by("draw_samples"),


use rule draw_figure as draw_model_comparison with:
    input:
        vega=VEGA,
        comparison=f"{RESULTS}/tables/comparison.csv",
    output:
        json=f"{RESULTS}/figures/comparison/16_models.json",
        html=f"{RESULTS}/figures/comparison/16_models.html",
        svg=report(
            f"{RESULTS}/figures/comparison/16_models.svg",
            caption="../report/figures/16_models.rst",
            category="comparison",
            subcategory="figures",
            labels={"figure": "16_models"},
        ),
        png=f"{RESULTS}/figures/comparison/16_models.png",
    log:
        log_path("draw_model_comparison"),
    benchmark:
        benchmark_path("draw_model_comparison")
    params:
        **drawn_by("draw_model_comparison", direction_name=DIRECTION),
        model="",
