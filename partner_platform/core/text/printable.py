"""Text from outside (a contract's reason, a node's message) as it may be shown, logged and stored. Pure.

It comes as bytes or as whatever JSON held: not UTF-8, with NULs (PostgreSQL refuses them), lone surrogates (no database
takes them), with characters that move a terminal's cursor or reverse its text, and of any length.
"""

CUT = "…"


def printable(text: object, limit: int) -> str:
    """Printable characters only, at most `limit` of them; what was cut ends with `…`. Never raises.

    Everything else is escaped as Python writes it: `\\x00`, `\\u202e`, `\\ud800`; a byte that is not UTF-8 as `\\xe9`.
    """
    if isinstance(text, bytes | bytearray):
        # A character takes at most four bytes; four more, so that a character cut in two is cut off below.
        text = bytes(text[: 4 * limit + 4]).decode("utf-8", errors="backslashreplace")
    shown = escaped(str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: max(limit - len(CUT), 0)] + CUT[:limit]


def escaped(text: str) -> str:
    """All of the text, with the same escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", errors="surrogatepass").decode("ascii")
