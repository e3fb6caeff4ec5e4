"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def eventually(condition: Callable[[], T], seconds: float = 10.0, *, every: float = POLL_SECONDS) -> T:
    """The first true answer of `condition`; an AssertionError with its last answer once `seconds` have passed.

    An AssertionError that `condition` raises counts as "not yet" and is what the deadline raises.
    """
    deadline = time.monotonic() + seconds
    while True:
        failure: AssertionError | None = None
        answer: T | None = None
        try:
            answer = condition()
        except AssertionError as error:
            failure = error
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not true after {seconds:g} s: {condition!r} last answered {answer!r}")
        time.sleep(every)
