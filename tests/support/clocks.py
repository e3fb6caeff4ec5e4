"""The platform's clock as a test sets it: `core.clock` is where all of the project reads the time."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from partner_platform.core import clock


def shift_clock(*, seconds: float = 0.0) -> None:
    """The platform lives `seconds` ahead of the machine from now on; 0 puts it right."""
    ahead = dt.timedelta(seconds=seconds)
    module: Any = clock
    module.timezone = SimpleNamespace(now=lambda: timezone.now() + ahead)
