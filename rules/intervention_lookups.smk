"""Inputs and options of the jobs that plan and run interventions: functions of the wildcards."""


def plans_of_entry(wildcards):
    """Write the command-line option that describes the plans of an entry's rows."""
    return plan_options(STUDY, wildcards.entry)


def runs_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's rows."""
    return run_options(STUDY, wildcards.entry)


def samples_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's sampled rows."""
    return sampling_options(STUDY, wildcards.entry)


def random_set_runs_of_entry(wildcards):
    """Write the command-line option that says how to run an entry's random sets."""
    return random_set_run_options(STUDY, wildcards.entry)


def random_sets_of_entry(wildcards):
    """Write the command-line options that describe the random sets of an entry's rows."""
    return random_set_options(STUDY, wildcards.entry)


def rows_of_entry(wildcards):
    """Return the settings of an entry's rows."""
    return STUDY.rows_by_entry[wildcards.entry].values()


def plan_files(wildcards):
    """Return the input files of the plans of an entry's rows."""
    files = {}
    for row in rows_of_entry(wildcards):
        direction = STUDY.direction(wildcards.entry)
        if counts_layers(row):
            files |= folder("checkpoint", f"{RESULTS}/checkpoints/{wildcards.model}/pre")
        if needs_length(row):
            files["direction"] = f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"
        table = needs_of_plan(row)
        if table != "nothing":
            files[table] = f"{RESULTS}/{table}/{wildcards.model}/{direction}.parquet"
        if (ranking := ranking_of(row)) is not None:
            files["ranking"] = f"{RESULTS}/rankings/{wildcards.model}/{ranking}.parquet"
        if "file" in row:
            files["file"] = local(row["file"])
    return files


def stage_to_change(wildcards):
    """Name the checkpoint that an entry's rows change."""
    return STUDY.stage(wildcards.entry)


def files_to_draw_from(wildcards):
    """Return the tables of neurons or heads that an entry's random sets are drawn from."""
    path = f"{wildcards.model}/{STUDY.direction(wildcards.entry)}.parquet"
    of_heads = "heads" in config["interventions"][wildcards.entry]
    tables = ["heads"] if of_heads else ["contributions", "neurons"]
    return {table: f"{RESULTS}/{table}/{path}" for table in tables}


def checkpoint_to_change(wildcards):
    """Return the checkpoint that an entry's rows change."""
    stage = STUDY.stage(wildcards.entry)
    return folder("checkpoint", f"{RESULTS}/checkpoints/{wildcards.model}/{stage}")


def donor_checkpoint(wildcards):
    """Return the checkpoint whose weights an entry's rows put into the one that they change."""
    rows = STUDY.rows_by_entry[wildcards.entry].items()
    stages = {donor_stage(name, row) for name, row in rows} - {None}
    path = f"{RESULTS}/checkpoints/{wildcards.model}"
    return folder("donor", f"{path}/{stages.pop()}") if stages else {}


def donor_as_option(wildcards, input):
    """Write the checkpoint of `donor_checkpoint` as a command-line option."""
    return write_options({"donor": input.donor}) if "donor" in input.keys() else ""


def vectors_to_run_with(wildcards):
    """Return the files of the direction and of the stream's shifts that an entry's rows need."""
    files, model = {}, wildcards.model
    if any(map(runs_with_direction, rows_of_entry(wildcards))):
        direction = STUDY.direction(wildcards.entry)
        files["direction"] = f"{RESULTS}/directions/{model}/{direction}.safetensors"
    if any(map(runs_with_shifts, rows_of_entry(wildcards))):
        files["shifts"] = f"{RESULTS}/stream_shifts/{model}.parquet"
    return files


def vectors_as_options(wildcards, input):
    """Write the files of `vectors_to_run_with` as command-line options."""
    return write_options({name: input[name] for name in vectors_to_run_with(wildcards)})


def run_files(wildcards):
    """Return the input files of an entry's rows, besides checkpoints, plans and texts."""
    files = vectors_to_run_with(wildcards)
    if wildcards.entry != "dpo":
        # All rows are compared on the text of the second checkpoint, which `dpo` itself writes.
        files["answers"] = f"{RESULTS}/generations/{wildcards.model}/dpo/challenge_prompts.jsonl"
    for capture in STUDY.captured_row(wildcards.model, wildcards.entry).values():
        files["capture"] = f"{RESULTS}/activations/{wildcards.model}/{capture}.h5"
    return files


def run_files_as_options(wildcards, input):
    """Write the files of `run_files`, and whose continuations a capture holds, as options."""
    options = {name: input[name] for name in run_files(wildcards)}
    for row in STUDY.captured_row(wildcards.model, wildcards.entry):
        options["captured_row"] = row
    return write_options(options)


def screening_of_entry(wildcards):
    """Write the windows that an entry's rows are screened on as an option, if they are."""
    windows = config["perplexity"].get("screen_windows")
    if windows is None or wildcards.entry in UNPATCHED:
        return ""
    return write_options({"screen_windows": windows})


def plans_of_capture(wildcards):
    """Return the plans of the entry that a captured row belongs to."""
    entry = STUDY.entry_of(wildcards.intervention)
    return {"plans": f"{RESULTS}/plans/{wildcards.model}/{entry}.parquet"}


def positions_of_capture(wildcards):
    """Where a captured row acts in each forward pass of generation."""
    row = STUDY.interventions[wildcards.intervention]
    return positions_in_generation(row, config["generation"]["positions"])


def stage_to_export(wildcards):
    """Name the checkpoint that an exported row changes."""
    return STUDY.stage(STUDY.entry_of(wildcards.intervention))


def exported_files(wildcards):
    """Return the checkpoint that an exported row changes, and its direction and donor if any."""
    path = f"{RESULTS}/checkpoints/{wildcards.model}"
    files = folder("checkpoint", f"{path}/{stage_to_export(wildcards)}")
    name = wildcards.intervention
    if (donor := donor_stage(name, STUDY.interventions[name])) is not None:
        files |= folder("donor", f"{path}/{donor}")
    if runs_with_direction(STUDY.interventions[wildcards.intervention]):
        direction = STUDY.direction(STUDY.entry_of(wildcards.intervention))
        files["direction"] = f"{RESULTS}/directions/{wildcards.model}/{direction}.safetensors"
    return files


def direction_to_export_as_option(wildcards, input):
    """Write the direction of `exported_files` as a command-line option."""
    return write_options({"direction": input.direction}) if "direction" in input.keys() else ""
