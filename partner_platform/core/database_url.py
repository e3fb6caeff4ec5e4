"""`DATABASE_URL` picks one of the three engines the project is tested on."""

from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

SQLITE_BUSY_TIMEOUT_SECONDS = 30


def database_from_url(url: str, *, conn_max_age: int) -> dict[str, Any]:
    """Django's `DATABASES` entry for `sqlite:///path`, `postgres://…` or `mongodb://…/name?replicaSet=…`."""
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme in ("postgres", "postgresql"):
        return {**environ.Env.db_url_config(url), "CONN_MAX_AGE": conn_max_age, "CONN_HEALTH_CHECKS": True}
    if scheme in ("mongodb", "mongodb+srv"):
        return _mongodb(url)
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:, postgres: or mongodb:")


def _sqlite(url: str) -> dict[str, Any]:
    # IMMEDIATE: a deferred transaction that writes after it read fails with "database is locked" at once, whatever the
    # timeout. synchronous FULL: what was answered to a partner survives a power cut.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": url.removeprefix("sqlite:///"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": SQLITE_BUSY_TIMEOUT_SECONDS,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def _mongodb(url: str) -> dict[str, Any]:
    name = urlsplit(url).path.strip("/")
    if not name:
        raise ImproperlyConfigured("DATABASE_URL: a mongodb: URL names its database, mongodb://host/name")
    return {"ENGINE": "partner_platform.core.mongodb", "HOST": url, "NAME": name, "CONN_MAX_AGE": None}
