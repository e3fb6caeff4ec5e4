"""Text from outside, as a column or a line of the log can hold it."""


def shown(what: object, limit: int = 300) -> str:
    """`what` as one printable line of at most `limit` characters: PostgreSQL takes no NUL, no database a half
    surrogate, and a reader no escape sequence of a terminal.
    """
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(what))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason(error: BaseException, limit: int = 300) -> str:
    """An exception in a sentence: what it says, or what it is called where it says nothing."""
    said = str(error)
    return shown(said if " " in said else f"{type(error).__name__}: {said}".rstrip(": "), limit)
