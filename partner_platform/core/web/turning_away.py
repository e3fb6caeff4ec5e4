"""A refusal before a request takes a worker thread: the web server asks, the app that limits refusals decides.

The web server asks on the thread that reads all its connections. `partners.refusals.refusal_limits` decides; while no
app has set a function with `decided_by`, nobody is turned away.
"""

from collections.abc import Callable, Mapping
from typing import Any

from partner_platform.core.errors import PlatformError

# Given a request's headers and address as in `META`, and its path. Must not wait: no query, no round trip.
Decide = Callable[[Mapping[str, Any], str], PlatformError | None]

_deciders: list[Decide] = []


def decided_by(decide: Decide) -> None:
    """Set the function that decides, in place of an earlier one."""
    _deciders[:] = [decide]


def early_refusal(meta: Mapping[str, object], path: str) -> PlatformError | None:
    """What the call is refused with; None where the application must look at it."""
    return _deciders[0](meta, path) if _deciders else None
