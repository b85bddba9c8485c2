"""Helpers for the rules of all stages: names of the study, paths, settings, options."""

import hashlib
import json
import os
import shlex

# A relative path if Snakemake runs in or above the project; quoted, for use in commands.
SCRIPTS = shlex.quote(
    os.path.relpath(PACKAGE_ROOT) if PACKAGE_ROOT.is_relative_to(Path.cwd()) else str(PACKAGE_ROOT)
)
# Jobs must import the package beside this Snakefile, which the digests cover, not an installed one.
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
)

RESULTS = STUDY.results
DATA = f"{RESULTS}/data"
FETCHED = f"{RESULTS}/fetched"
MODELS = list(config["models"])
DIRECTION = config["direction"]
SEED = config["seed"]
ENVIRONMENT = "../environment.yml"
DIGESTS = digest_programs(PACKAGE_ROOT, Path(".snakemake/code_digests.json"))
SHARDS = config["compute"]["shards"]
CACHE = workflow.workflow_settings.cache is not None


wildcard_constraints:
    dataset=any_of(config["data"]),
    model=any_of(MODELS),
    stage=any_of(STAGES),
    direction=any_of(config["directions"]),
    capture=any_of([*STAGES, *STUDY.interventions, "crossed"]),
    entry=any_of(STUDY.rows_by_entry),
    intervention=any_of(STUDY.interventions),
    scorer=any_of(config["further_scorers"]),
    autoencoder=any_of({name for of_model in STUDY.autoencoders.values() for name in of_model}),


def setting(*keys):
    """Return a function of a job's wildcards that looks a setting up.

    Keys may name wildcards: setting("models", "{model}", "dtype") looks up the number format of
    the job's model.
    """

    def look_up(wildcards):
        value = config
        for key in keys:
            value = value[key.format_map(dict(wildcards.items()))]
        return value

    return look_up


def setting_options(*keys, only=None):
    """Return a function of a job's wildcards that writes settings as command-line options.

    only: the keys to write; without it, all keys.
    """

    def look_up_options(wildcards):
        settings = setting(*keys)(wildcards)
        return write_options({key: settings[key] for key in only or settings})

    return look_up_options


def code_of(program):
    """Return the digest of a program's code; as a param, it reruns the rule when code changes."""
    return DIGESTS[program]


def content_of(path):
    """Return the checksum of a file of the package, such as a template.

    As a param it reruns the rule when the file changes. As an input, with the path of this copy of
    the project, it would rerun the rule in every other copy.
    """
    return hashlib.sha256((PACKAGE_ROOT / path).read_bytes()).hexdigest()


def log_path(rule_name, *wildcards):
    """Return the path of a job's log: the rule's name, then the job's wildcards."""
    return f"{RESULTS}/logs/{'/'.join([rule_name, *wildcards])}.log"


def benchmark_path(rule_name, *wildcards):
    """Return the path of a job's benchmark: the rule's name, then the job's wildcards."""
    return f"{RESULTS}/benchmarks/{'/'.join([rule_name, *wildcards])}.tsv"


def benchmark_unless_cached(rule_name, path):
    """Add a benchmark to a cacheable rule, unless Snakemake's cache is on.

    Snakemake refuses a rule with both. A workflow that imports this one may leave the rule out, or
    set another benchmark.
    """
    if CACHE or not rules.has(rule_name):
        return
    cacheable = getattr(rules, rule_name).rule
    if cacheable.benchmark is None:
        cacheable.benchmark_modifier = cacheable.log_modifier
        cacheable.benchmark = path


def folder(name, path):
    """A folder that the workflow makes, as an input of this name, compared by its content.

    Snakemake compares folders by time stamps, which a copy of the results may not keep. So the
    folder's own are ignored, and the source file beside it, with a checksum of each file, is
    another input.
    """
    return {name: ancient(path), f"{name}_content": f"{path}.source.json"}


def results_folder(wildcards, output):
    """Return the path of the study's results, with the prefix of an importing workflow."""
    return output[0].rpartition(f"{RESULTS}/")[0] + RESULTS


def files_as_options(wildcards, input):
    """Write a job's input files as command-line options, with their names in the rule."""
    files = {name: path for name, path in input.items() if not name.endswith("_content")}
    return write_options(files)


def where_results_are():
    """Return a run's last line: the results, and the command for the report."""
    tables = [f"{RESULTS}/tables/{table}.md" for table in [*MODELS, "comparison"]]
    made = [path for path in [*tables, f"{RESULTS}/figures"] if Path(path).exists()]
    command = ["snakemake", "--report", "report.zip"]
    shown_path = os.path.relpath
    if Path.cwd() != PROJECT:
        command += ["--snakefile", workflow.main_snakefile, "--directory", str(Path.cwd())]
        shown_path = os.path.abspath
    if workflow.overwrite_configfiles:
        command += ["--configfile", *map(shown_path, workflow.overwrite_configfiles)]
    if workflow.config_settings.config:
        command.append("--config")
        command += [f"{key}={value}" for key, value in workflow.config_settings.config.items()]
    return f"Results: {', '.join(made) or RESULTS}. To see all on one page: {shlex.join(command)}"
