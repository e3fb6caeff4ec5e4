"""Shortens a JSON value to a size by cutting only its large parts. Pure.

Small fields are kept whole: a borrow with 8 KiB of metadata still has its amount, wallet and loan. Sizes are in
characters of JSON as Python writes it in ASCII.
"""

import json
from typing import Any

CUT = "…"
LEAST = 40  # for less than that no value is worth keeping
_REST = 60  # what the note of left-out fields or items takes


def shortened(value: object, size: int) -> object:
    """The value, of at most that size: the largest texts are cut, and of too many fields the largest are left out."""
    if size_of(value) <= size:
        return value
    if isinstance(value, str):
        return _cut(value, size)
    if isinstance(value, list):
        kept = _share_out({str(index): item for index, item in enumerate(value)}, size, name_size=lambda name: 2)
        left_out = len(value) - len(kept)
        return [*kept.values(), f"(and {left_out} more)"] if left_out else list(kept.values())
    if isinstance(value, dict):
        kept = _share_out(value, size, name_size=lambda name: size_of(name) + 4)
        left_out = len(value) - len(kept)
        return {**kept, "_more": f"and {left_out} more"} if left_out else kept
    return CUT


def size_of(value: object) -> int:
    """Characters of JSON."""
    return len(json.dumps(value))


def _share_out(fields: dict[str, Any], size: int, *, name_size: Any) -> dict[str, object]:
    """Each field gets an equal share; small fields leave the rest of theirs to larger ones."""
    left, kept = size - _REST, dict[str, Any]()
    by_size = sorted(fields.items(), key=lambda field: size_of(field[1]))
    for done, (name, item) in enumerate(by_size):
        left -= name_size(name)
        share = left // (len(by_size) - done)
        if min(share, left) < LEAST and size_of(item) > share:
            break
        kept[name] = shortened(item, share)
        left -= size_of(kept[name])
    return {name: kept[name] for name in fields if name in kept}


def _cut(text: str, size: int) -> str:
    while (now := size_of(text + CUT)) > size and text:
        text = text[: min(len(text) - 1, len(text) * size // now)]
    return text + CUT
