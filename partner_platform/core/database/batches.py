"""Long lists in pieces, for queries that take so many values and transactions that hold so many rows."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

IDS_PER_QUERY = 500  # values in one `__in`: within the limits of all three databases


def batched(items: Iterable[T], size: int = IDS_PER_QUERY) -> Iterator[list[T]]:
    """The items in their order, in lists of `size`; the last one may be shorter."""
    every = list(items)
    for start in range(0, len(every), size):
        yield every[start : start + size]
