"""Header names as the platform spells them, where waitress would write each word with one capital letter."""

from functools import lru_cache

from waitress.task import Task


class OwnSpelling(Task):
    """A task whose answer says `RateLimit`, not `Ratelimit`."""

    def build_response_header(self) -> bytes:
        """As waitress writes it, but for the names."""
        renamed = {_capitalized(name): name for name, _ in self.response_headers if name != _capitalized(name)}
        head = bytes(super().build_response_header())
        for theirs, ours in renamed.items():
            head = head.replace(f"\r\n{theirs}: ".encode("latin-1"), f"\r\n{ours}: ".encode("latin-1"))
        return head


@lru_cache(maxsize=200)
def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
