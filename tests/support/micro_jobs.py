"""Sets of the micro study's jobs that are rerun together, as dry runs tell of them."""

from dpo_neurons.study.messages import CHAT_KEYS
from support.workflow import BY_ONE_MODEL, CHANGED, DATASETS, ENTRIES, STAGES, each

CHANGED_ENTRIES = set(CHANGED) & set(ENTRIES)
MEASURE = "run_interventions score_continuations"
MODELS_COMPARED = {"compare_models", "draw_model_comparison", "write_model_page"}
"""What is made of all tables of a model, and of all models."""
PREDICTION = {"predict_toxicity", "draw_prediction"}
TABLE = (
    {"tabulate_interventions", "draw_tradeoff", "draw_edit_grid", "draw_key_scaling"}
    | {"draw_samples"}
    | PREDICTION
    | MODELS_COMPARED
    | {"compare_interventions", "tabulate_random_sets", "judge_interventions"}
)
TESTS = {"compare_interventions", "judge_interventions"} | MODELS_COMPARED
FAITHFULNESS = {"tabulate_faithfulness", "judge_interventions"} | MODELS_COMPARED
RANDOM_RUNS = each("run_random_sets score_random_sets", {"patch_all_four"})
RANDOM_SETS = MODELS_COMPARED | RANDOM_RUNS | {
    "draw_random_sets patch_all_four", "tabulate_random_sets", "judge_interventions",
    "draw_tradeoff",
}  # fmt: skip
GROUPS = {"summarise_groups", "draw_group_shares", "draw_layer_reduction"} | MODELS_COMPARED
INTERVALS = {
    "summarise_totals",
    "summarise_cancellation",
    "draw_cancellation",
    "draw_cumulative_reduction",
    "draw_net_curve",
}
CAPTURE = "capture_activations gather_activations"
UNDER_PLAN = "capture_under_plan gather_activations"
ABLATED_CAPTURE = each(UNDER_PLAN, {"ablate_top_6"}) | {"draw_layer_projections"}
CROSSED_CAPTURE = {"capture_crossed_activations", "gather_activations crossed"}
FIGURES_OF_NEURONS = {
    "draw_cumulative_reduction",
    "draw_rank_composition",
    "draw_projection_shifts",
    "draw_layer_reduction",
    "draw_top_activations",
    "draw_top_toxic_shifts",
    "draw_later_toxic_shifts",
    "draw_activation_changes",
    "correlate_changes",
    "draw_activations",
    "decompose_reductions",
    "draw_reduction_sources",
}
CONTRIBUTIONS = (
    {"compute_contributions", "tabulate_largest_neurons"}
    | FIGURES_OF_NEURONS
    | GROUPS
    | INTERVALS
    | each("write_plans", CHANGED_ENTRIES)
    | each(MEASURE, CHANGED_ENTRIES)
    | ABLATED_CAPTURE
    | RANDOM_SETS
    | FAITHFULNESS
    | TABLE
    | TESTS
    | {"tabulate_overlaps"}
)
"""Jobs that depend on contributions: plans from them, and all measurements."""
RESIDUALS = {
    "compare_residuals", "draw_residual_shift", "draw_value_changes", "draw_activation_regions",
}  # fmt: skip
SPLIT = {"split_stream_shift", "draw_stream_split"} | MODELS_COMPARED
WEIGHTS = {"compare_weights", "draw_weight_changes"}
DESCRIBED = {"describe_neurons"} | each(f"write_plans {MEASURE}", BY_ONE_MODEL) | RANDOM_SETS
"""Jobs that depend only on the first model's neurons."""
SAMPLES = each("run_samples score_samples", {"dpo"}) | {"tabulate_samples", "draw_samples"}
SAMPLES_SCORED = SAMPLES - {"run_samples dpo"}
DIRECTIONS_COMPARED = MODELS_COMPARED | {
    "compare_random_directions", "draw_group_shares", "draw_layer_reduction",
}  # fmt: skip
CAPTURES = (
    each(CAPTURE, STAGES)
    | CROSSED_CAPTURE
    | RESIDUALS
    | SPLIT
    | DESCRIBED
    | DIRECTIONS_COMPARED
    | {"rank_neurons effect_size"}
    | CONTRIBUTIONS
)
SCORED = each("score_continuations", ENTRIES) | TABLE | TESTS | FAITHFULNESS
SCORES = SCORED | {"score_random_sets patch_all_four"} | SAMPLES_SCORED
RUNS = each("run_interventions", ENTRIES) | SCORED
STEERED = each(MEASURE, {"steer_last"})
ABLATED = {entry for entry in ENTRIES if entry.startswith("ablate")}
UNMOVED = each(MEASURE, ABLATED | {"steer_last", "none", "dpo"})
"""Entries whose rows act at every position, or not at all."""
SHIFTED = each(MEASURE, {"shift_all", "damp_experts"})
"""Entries whose rows act at every position of the perplexity text."""
SOURCES = {"tabulate_sources", "write_model_page"}
LISTED = {"list_interventions"}
OF_LISTED = TABLE | TESTS | FAITHFULNESS | LISTED
"""Jobs that depend on how rows are described."""
OF_ROWS = OF_LISTED | {"tabulate_overlaps"}
"""Jobs that depend on which rows there are."""
DPO = (
    {"train_dpo", "draw_rewards", "check_pair", "measure_auroc"}
    | SOURCES
    | WEIGHTS
    | CAPTURES
    | RUNS
    | SAMPLES
)
"""What is made from both checkpoints, which read texts alike; not what the first alone makes."""
PROBE = (
    {"train_probe", "tabulate_logit_lens", "compare_directions"}
    | DESCRIBED
    | DIRECTIONS_COMPARED
    | STEERED
    | RESIDUALS
    | SPLIT
    | WEIGHTS
    | CONTRIBUTIONS
)
IMPORTED = {"import_data lexicon"} | SOURCES | SCORES
MODEL_RUNS = PROBE | CAPTURES | RUNS | SAMPLES | {"measure_auroc"}
"""Jobs that run a model, and jobs that depend on them."""
MODEL = {"train_language_model", "write_plans steer_last"} | DPO | MODEL_RUNS
DATA = each("write_synthetic_data", DATASETS)
RENDERED = each("render_chat", set(DATASETS) & CHAT_KEYS.keys())
