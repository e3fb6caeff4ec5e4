"""Asking, before a request takes a thread, whether its caller is turned away.

The web server asks on the thread that reads all its connections; who knows says so (`partners.refusals.door`). Without
one, nobody is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from partner_platform.core.errors import PlatformError

# Given a request's headers and address as in `META`, and its path. Must not wait: no query, no round trip.
Decide = Callable[[Mapping[str, Any], str], PlatformError | None]

_deciders: list[Decide] = []


def decided_by(decide: Decide) -> None:
    """From now on this function is asked."""
    _deciders[:] = [decide]


def refusal(meta: Mapping[str, Any], path: str) -> PlatformError | None:
    """What the call is refused with; None where it must be looked at."""
    return _deciders[0](meta, path) if _deciders else None
