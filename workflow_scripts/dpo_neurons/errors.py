"""The exceptions for mistakes that a user can mend."""


class InputError(Exception):
    """A user's mistake: one sentence that names the file, the key and the remedy.

    Programs print it without a traceback; any other exception is a bug and keeps its own.
    """


class BrokenModelError(InputError):
    """A model whose logits or losses are NaN or infinite; what it seems to write means nothing."""

    def __init__(self, finding: str) -> None:
        super().__init__(
            f"{finding}; the weights are damaged or overflow, so fetch or make the checkpoint "
            "again, or set models.….dtype to float32 or bfloat16"
        )
        self.finding = finding
