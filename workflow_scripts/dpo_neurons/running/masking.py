"""Secrets kept out of logs and error messages: passwords in addresses, keys and tokens."""

import os
import re

SECRET_VARIABLES = ("PERSPECTIVE_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables whose values are secrets."""
SHORTEST_SECRET = 6
"""Shorter values, such as a test's "x", are no secrets and would hide common words."""

_WORD = r"[^\s'\"<>]"
_PATTERNS = (
    # Greedy: a password may itself hold '@', '/', '?' or '#'.
    (re.compile(rf"([A-Za-z][A-Za-z0-9+.-]*://){_WORD}*@"), r"\1…@"),
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>?#]*[?#])[^\s'\"<>]+"), r"\1…"),
    (re.compile(r"[\w.+-]+:[^\s@'\"/]+@(?=[\w\[])"), "…@"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), "hf_…"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{16,}"), "AIza…"),
)


def mask_secrets(text: str) -> str:
    """Replace what may be a secret in a text by '…'.

    Masked are the user and the query of any address, the tokens of Hugging Face, the keys of
    Google, and the values of SECRET_VARIABLES.
    """
    for variable in SECRET_VARIABLES:
        secret = os.environ.get(variable, "").strip()
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "…")
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
