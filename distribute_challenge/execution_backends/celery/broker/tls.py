"""TLS connections to Redis: what a URL asks for, and what to do when a connection fails."""

import os
from typing import Final
from urllib.parse import parse_qs, urlsplit

__all__ = ["checked", "complaint"]

_FILES: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")

_HOW: Final = "add ?ssl_certfile=/path/client.crt&ssl_keyfile=/path/client.key to the URL"
_WANTS_CERTIFICATE: Final = f"the server wants to see a certificate: {_HOW}"
_HANGS_UP: Final = f"check that the server runs; if it wants to see a certificate, {_HOW}"

# Parts of OpenSSL's messages, and what to do about each; the first that fits is used.
_ADVICE: Final = (
    (
        "mismatch, certificate is not valid",
        "the server's certificate is for another host: write the URL with a name in it",
    ),
    ("certificate has expired", "the server's certificate has expired: make it a new one"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        (
            "the server's certificate is not signed by an authority that is known here: name yours by "
            "?ssl_ca_certs=/path/ca.crt"
        ),
    ),
    ("CERTIFICATE_REQUIRED", _WANTS_CERTIFICATE),
    # A server's message for a missing certificate in TLS 1.2.
    ("HANDSHAKE_FAILURE", _WANTS_CERTIFICATE),
    (
        "UNKNOWN_CA",
        (
            "the server does not know the authority that has signed this client's certificate (its "
            "tls-ca-cert-file)"
        ),
    ),
    (
        "KEY_VALUES_MISMATCH",
        "the key in ssl_keyfile is not that of the certificate in ssl_certfile",
    ),
    (
        "WRONG_VERSION_NUMBER",
        "the server speaks no TLS at this port: write redis://, or the port that is its tls-port",
    ),
    # If a client without a certificate is about to send data when the server closes the connection,
    # it gets one of these errors instead.
    ("Connection reset", _HANGS_UP),
    ("Connection closed", _HANGS_UP),
    ("Broken pipe", _HANGS_UP),
)


def checked(url: str) -> str:
    """Return a URL under which kombu checks the server's certificate, unless it turns that off.

    redis-py checks it by default. kombu accepts any certificate if the URL has no setting for it.

    Examples:
        >>> checked("rediss://example.org:6380/0")
        'rediss://example.org:6380/0?ssl_cert_reqs=required'
        >>> checked("rediss://example.org?ssl_cert_reqs=none")
        'rediss://example.org?ssl_cert_reqs=none'
        >>> checked("redis://example.org")
        'redis://example.org'
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(parts.query):
        return url
    return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required"


def complaint(url: str, reason: str) -> str | None:
    """Return what to do about a connection that failed, if TLS is the cause; else None.

    Args:
        url: The broker.
        reason: redis-py's message.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    for parameter in _FILES:
        path = query.get(parameter)
        if path is not None and not os.access(path, os.R_OK):
            state = "cannot be read by this user" if os.path.exists(path) else "is not there"
            return f"the file {path}, {parameter} in the URL, {state}"
    advice = next((advice for words, advice in _ADVICE if words in reason), None)
    # If the URL names a certificate, a missing one is not the cause.
    return None if advice in (_WANTS_CERTIFICATE, _HANGS_UP) and "ssl_certfile" in query else advice
