"""Telling the web server that a call's credentials were accepted: calls with the same ones then go first there."""

from typing import Any

KEY = "partner_platform.accepted"  # in the WSGI environment: a function, where the server asks to be told


def note_accepted(meta: Any) -> None:
    """The `Authorization` header of the request with this `META` was found right, and its caller may come in."""
    tell = meta.get(KEY)
    if tell is not None:
        tell()
