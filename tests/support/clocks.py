"""The platform's clock as a test sets it: `partner_platform.core.clock` is where all of the project reads the time."""

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from partner_platform.core import clock

TICK = dt.timedelta(milliseconds=1)


def shift_clock(*, seconds: float = 0.0) -> None:
    """The platform lives `seconds` ahead of the machine from now on; 0 puts it right."""
    ahead = dt.timedelta(seconds=seconds)
    _set(lambda: timezone.now() + ahead)


class SteppedClock:
    """A clock that a millisecond passes on at each look, and else only where a test lets time pass."""

    def __init__(self, begin: dt.datetime) -> None:
        self.time = begin

    def start(self) -> None:
        _set(self._look)

    def pass_time(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)

    def _look(self) -> dt.datetime:
        self.time += TICK
        return self.time


def _set(now: Callable[[], dt.datetime]) -> None:
    module: Any = clock
    module.timezone = SimpleNamespace(now=now)
