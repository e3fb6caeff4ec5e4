"""The differences between two JSON values, value by value. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One value at a dotted path; `None` where it was, or is, not there."""

    path: str
    before: str | None
    after: str | None

    @property
    def is_change(self) -> bool:
        """False where the value stayed."""
        return self.before != self.after


def differences(before: object, after: object) -> list[Difference]:
    """Every leaf of the two JSON values, before and after, sorted by path; `None` is an empty object."""
    old = _flat({} if before is None else before)
    new = _flat({} if after is None else after)
    return [Difference(path, old.get(path), new.get(path)) for path in sorted({*old, *new})]


def _flat(value: object, path: str = "") -> dict[str, str]:
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, list) and value:
        items = {str(index): item for index, item in enumerate(value)}.items()
    else:
        # An empty object at the top is no value; inside another it is one.
        return {} if not path and value == {} else {path: _text(value)}
    found: dict[str, str] = {}
    for name, item in items:
        found |= _flat(item, f"{path}.{name}" if path else str(name))
    return found


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
