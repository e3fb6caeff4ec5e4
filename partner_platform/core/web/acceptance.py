"""Tells the web server that a call's credentials were accepted: calls with the same ones then get a thread first."""

from typing import Any

KEY = "partner_platform.accepted"  # in the WSGI environment: a function, where the server asks to be told


def note_accepted(meta: Any) -> None:
    """Tell the server that the `Authorization` header of the request with this `META` is valid."""
    tell = meta.get(KEY)
    if tell is not None:
        tell()
