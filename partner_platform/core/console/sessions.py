"""Sessions in the database, looked up only by well-formed keys.

A cookie may hold any character, a NUL among them (in quotes, as `\\000`), which PostgreSQL takes in no text.
"""

import re

from django.contrib.sessions.backends import db

_KEY = re.compile(r"[a-z0-9]{32}", re.ASCII)


class SessionStore(db.SessionStore):
    """Django's, with a check of the key before the query."""

    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and _KEY.fullmatch(key) is not None
