"""Exponential backoff: a pause that doubles with each failure up to a bound, with some jitter.

The jitter keeps work that failed together from being retried together.
"""

import datetime as dt
import random

from partner_platform.core import clock

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 300.0
SPREAD = 0.25  # of the pause, added at random
_DOUBLINGS = 16  # more failures are above the bound anyway


def pause_seconds(failures: int, *, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> float:
    """The pause after so many failures in a row (1 or more), without its random part."""
    return min(first * 2.0 ** min(failures - 1, _DOUBLINGS), longest)


def next_try(failures: int, *, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> dt.datetime:
    """When to try again after so many failures in a row; whole milliseconds, as all databases keep them."""
    pause = pause_seconds(failures, first=first, longest=longest)
    varied = pause * (1 + SPREAD * random.random())  # noqa: S311 - a spread, not a secret
    return clock.now() + dt.timedelta(milliseconds=round(varied * 1000))
