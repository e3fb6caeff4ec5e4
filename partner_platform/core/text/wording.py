"""Text from outside, shortened and escaped for a column or a log line."""


def shown(what: object, limit: int = 300) -> str:
    """`what` as one printable line of at most `limit` characters: PostgreSQL takes no NUL, no database a half
    surrogate, and a reader no escape sequence of a terminal.
    """
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(what))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason(error: BaseException, limit: int = 300) -> str:
    """An exception as text: its message, or its class where it has none."""
    said = str(error)
    return shown(said if " " in said else f"{type(error).__name__}: {said}".rstrip(": "), limit)


SEPARATOR = " | "


def parts(reasons: str) -> list[str]:
    """The reasons in a column that keeps several."""
    return reasons.split(SEPARATOR) if reasons else []


def joined(reasons: str, new: str, limit: int = 300) -> str:
    """The reasons with a new one at the end, all of them readable within `limit`; as they were where it is among them.

    Where there is no room the older ones are cut, to no less than half of it.
    """
    new = shown(new.replace(SEPARATOR, " / "), limit)
    if not reasons or any(_says(part, new) for part in parts(reasons)):
        return reasons or new
    room = limit - len(SEPARATOR)
    kept = shown(reasons, max(room - len(new), room // 2))
    return kept + SEPARATOR + shown(new, room - len(kept))


def _says(part: str, new: str) -> bool:
    return part == new or (part.endswith("…") and new.startswith(part[:-1]))
