"""`DATABASE_URL` picks one of the three engines the project is tested on."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

SQLITE_BUSY_TIMEOUT_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 5
MONGODB_ENGINE = "partner_platform.core.mongodb"
POSTGRES_ENGINE = "partner_platform.core.postgres"


def database_from_url(url: str, *, conn_max_age: int) -> dict[str, Any]:
    """Django's `DATABASES` entry for `sqlite:///path`, `postgres://…` or `mongodb://…/name?replicaSet=…`."""
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme in ("postgres", "postgresql"):
        return _postgres(url, conn_max_age)
    if scheme in ("mongodb", "mongodb+srv"):
        return _mongodb(url)
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:, postgres: or mongodb:")


def _sqlite(url: str) -> dict[str, Any]:
    # IMMEDIATE: a deferred transaction that writes after it read fails with "database is locked" at once, whatever the
    # timeout. synchronous FULL: what a partner got a response for survives a power cut.
    return {
        "ENGINE": "partner_platform.core.sqlite",
        "NAME": url.removeprefix("sqlite:///"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": SQLITE_BUSY_TIMEOUT_SECONDS,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def _postgres(url: str, conn_max_age: int) -> dict[str, Any]:
    config = environ.Env.db_url_config(url)
    options = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **config.get("OPTIONS", {})}
    return {
        **config,
        "ENGINE": POSTGRES_ENGINE,
        "OPTIONS": options,
        "CONN_MAX_AGE": conn_max_age,
        "CONN_HEALTH_CHECKS": True,
    }


def _mongodb(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    name = unquote(parts.path.strip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL: a mongodb: URL names its database, mongodb://host/name")
    # The driver's own default lets a request wait 30 seconds for a primary; the URL may say otherwise.
    milliseconds = CONNECT_TIMEOUT_SECONDS * 1000
    defaults = {"serverSelectionTimeoutMS": milliseconds, "connectTimeoutMS": milliseconds}
    said = {option.lower() for option in parse_qs(parts.query)}
    options = {option: value for option, value in defaults.items() if option.lower() not in said}
    return {"ENGINE": MONGODB_ENGINE, "HOST": url, "NAME": name, "CONN_MAX_AGE": None, "OPTIONS": options}
