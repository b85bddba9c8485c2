"""The address of a scoring service, which no message quotes: it may hold a secret."""

from urllib.parse import urlsplit

from dpo_neurons.errors import InputError

KEY_VARIABLE = "PERSPECTIVE_API_KEY"
PATH = "/v1alpha1/comments:analyze"
"""Of Perspective's requests."""
EXAMPLE = "https://commentanalyzer.googleapis.com"


def check_endpoint(endpoint: str, key: str) -> None:
    """Check that an endpoint is a plain http or https address.

    key: that of the endpoint in the configuration, for messages.
    Raises InputError, without quoting the endpoint, for anything else.
    """
    if any(sign in endpoint for sign in "@?#"):
        raise InputError(
            f"{key}: must be an address without user, password, ? and #; the key goes "
            f"into the environment as {KEY_VARIABLE}"
        )
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    plain = endpoint.isprintable() and not any(sign in endpoint for sign in " \\\"'<>{}|^`")
    if not (usable and plain):
        raise InputError(f"{key}: not an address; write one like {EXAMPLE}")
