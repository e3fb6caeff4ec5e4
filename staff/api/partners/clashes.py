"""A POST that makes what is once only (a partner's id, a settlement address), where another does at the same moment."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import IntegrityError

P = ParamSpec("P")
T = TypeVar("T")
TRIES = 3


def again_after_clash(view: Callable[P, T]) -> Callable[P, T]:
    """Run the view again, outside the transaction that the clash undid: it then finds what the other one made."""

    @wraps(view)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(TRIES - 1):
            try:
                return view(*args, **kwargs)
            except IntegrityError:
                continue
        return view(*args, **kwargs)

    return run
