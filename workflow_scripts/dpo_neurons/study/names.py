"""Names of a study that other programs would misread, refused before anything is computed.

A name is part of paths, which Snakemake matches and a file system stores, and a cell of tables,
which pandas reads.
"""

import re
from collections.abc import Iterable

from dpo_neurons.errors import InputError
from dpo_neurons.study.study import Study

NO_TEXTS = {"na", "nan", "null", "none", "true", "false", "inf", "infinity"}
"""What pandas and YAML read as a missing value, a truth value or a number."""
MODELS_OWN = {"comparison"}
"""Names of tables that stand beside those of the models."""
NAME_OF_FIRST_SCORER = "toxicity"
"""What tables of all scorers call the first."""
ENDINGS = re.compile(
    r".*\.(directions|tests|scorers|agreement|published|seeds|faithfulness|random_sets|verdicts|overlaps|samples|plans|correlations|source|piece-[0-9]+)",
    re.IGNORECASE,
)
"""Files of the workflow itself end so before their extension, as tables/{model}.tests.csv."""
LONGEST_ROW = 160
"""Characters of a row's name; a file system allows 255 bytes, temporary names and endings too."""


def check_names(study: Study, source: str) -> None:
    """Check the names of study, models, directions, rows and scorers.

    source: the file that the configuration was read from.
    Raises InputError for a name that is misread, and for two names that are read as one.
    """
    config = study.config
    _check_readable(f"{source}: study", config["study"])
    for section in ("models", "directions", "interventions", "further_scorers"):
        for name in config[section]:
            _check_readable(f"{source}: {section}", name)
        _check_distinct(f"{source}: {section}", config[section])
    for name in config["models"]:
        if name.lower() in MODELS_OWN:
            raise InputError(
                f"{source}: models: {name!r} is the name of a table of all models; rename the model"
            )
    if any(name.lower() == NAME_OF_FIRST_SCORER for name in config["further_scorers"]):
        raise InputError(
            f"{source}: further_scorers: {NAME_OF_FIRST_SCORER!r} is what tables call the first "
            "scorer; give another name"
        )
    _check_distinct(f"{source}: interventions", study.interventions)
    for name in study.interventions:
        if len(name) > LONGEST_ROW:
            raise InputError(
                f"{source}: interventions: the row {name!r} has a name of {len(name)} characters, "
                f"of at most {LONGEST_ROW}; shorten the entry's name or its numbers"
            )


def _check_readable(place: str, name: str) -> None:
    if name.lower() in NO_TEXTS:
        raise InputError(
            f"{place}: {name!r} is no name, since tables would be read with a missing or truth "
            "value in its place; give another"
        )
    if ENDINGS.fullmatch(name):
        raise InputError(
            f"{place}: {name!r} ends as files of the workflow do; give a name without that ending"
        )


def _check_distinct(place: str, names: Iterable[str]) -> None:
    """Refuse two names that a file system or a table reader takes for one."""
    readings: dict[float | str, str] = {}
    for name in names:
        for reading in _readings(name):
            other = readings.setdefault(reading, name)
            if other != name:
                why = "numbers of one value" if isinstance(reading, float) else "one but for case"
                raise InputError(
                    f"{place}: {other!r} and {name!r} are {why}, and tables or file systems read "
                    "them as one; rename one of them"
                )


def _readings(name: str) -> list[float | str]:
    try:
        return [name.lower(), float(name)]
    except ValueError:
        return [name.lower()]
