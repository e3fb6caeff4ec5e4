"""System checks of the rules that keep one code base on three databases (docs/databases.md, the rules).

They run with every manage.py command, so that a model or URL that would be silently wrong on MongoDB is found at once.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import models
from django.db.models.fields import AutoFieldMixin

from partner_platform.core.database.url import MONGODB_ENGINE
from partner_platform.core.fields import UUIDPrimaryKey

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def our_models(app_configs: Iterable[AppConfig] | None = None) -> Iterator[type[models.Model]]:
    """The models of this project's own apps, by their folder."""
    root = str(settings.BASE_DIR)
    for config in app_configs if app_configs is not None else apps.get_app_configs():
        if config.path.startswith(root) and "site-packages" not in config.path:
            yield from config.get_models()


@register(Tags.models)
def check_models(app_configs: Iterable[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Rule 1 and 7, for each of our models."""
    return [message for model in our_models(app_configs) for message in check_model(model)]


def check_model(model: type[models.Model]) -> list[CheckMessage]:
    """What `model` has that another engine cannot store or stores differently."""
    found: list[CheckMessage] = []
    if not isinstance(model._meta.pk, UUIDPrimaryKey):
        found.append(Error("The key is not a UUIDPrimaryKey", obj=model, id="core.E001"))
    for field in model._meta.get_fields():
        if field.model is not model or field.auto_created:
            continue
        found += _check_field(field)
    return found


def _check_field(field: object) -> Iterator[CheckMessage]:
    if isinstance(field, AutoFieldMixin):
        yield Error("MongoDB has no counters: no AutoField", obj=field, id="core.E002")
    if isinstance(field, models.GeneratedField):
        yield Error("MongoDB has no generated columns", obj=field, id="core.E003")
    if isinstance(field, models.CompositePrimaryKey):
        yield Error("MongoDB has no composite keys", obj=field, id="core.E004")
    if isinstance(field, models.ManyToManyField):
        yield Error("Prefetching many-to-many raises on MongoDB: model the relation", obj=field, id="core.E005")
    if getattr(field, "has_db_default", lambda: False)():
        yield Error("MongoDB has no defaults of columns: use default", obj=field, id="core.E006")
    if getattr(field, "db_collation", None):
        yield Error("Collations differ between engines", obj=field, id="core.E007")


@register("databases")  # not Tags.database: that one runs on request only, and these ask no server
def check_databases(**kwargs: object) -> list[CheckMessage]:
    """Rule 8 (UTC), and what MongoDB's URL must say: transactions need a replica set, money its primary."""
    found: list[CheckMessage] = []
    if settings.TIME_ZONE != "UTC" or not settings.USE_TZ:
        found.append(Error('TIME_ZONE must be "UTC", with USE_TZ: stored times are', id="core.E010"))
    for database in settings.DATABASES.values():
        found += check_database(database)
    return found


def check_database(database: dict[str, Any]) -> list[CheckMessage]:
    """What is missing in a `DATABASES` entry."""
    if "mongodb" not in database["ENGINE"]:
        return []
    if database["ENGINE"] != MONGODB_ENGINE:
        return [Error(f"ENGINE must be {MONGODB_ENGINE}: on others atomic() does nothing", id="core.E011")]
    query = parse_qsl(urlsplit(database["HOST"]).query)
    options = {name.lower(): value for name, value in query}
    found: list[CheckMessage] = []
    # The DNS record of an SRV URL names the set; a plain URL must.
    if database["HOST"].startswith("mongodb://") and not options.get("replicaset"):
        found.append(
            Error("The mongodb URL names no replicaSet: without one there are no transactions", id="core.E012")
        )
    if options.get("readpreference", "primary").lower() != "primary":
        found.append(Error("readPreference must be primary: limits are checked on what was read", id="core.E013"))
    return found


@register(Tags.security, deploy=True)
def check_consent(**kwargs: object) -> list[CheckMessage]:
    """Live, every borrow needs a signature of the OAID's owner (docs/consent.md)."""
    found: list[CheckMessage] = []
    if settings.BORROW_CONSENT != "required":
        found.append(
            Warning("BORROW_CONSENT is optional: partners can draw on any OAID by its owner's name", id="core.W020")
        )
    if "1" in settings.BORROW_CONSENT_VERSIONS:
        found.append(
            Warning(
                "BORROW_CONSENT_VERSIONS takes 1: it does not cover duration, instalments, fee and settlement address",
                id="core.W021",
            )
        )
    return found


@register(Tags.security, deploy=True)
def check_mail(**kwargs: object) -> list[CheckMessage]:
    """Live, partners' mails need a server that sends them, and a sender's address (docs/mail.md)."""
    found: list[CheckMessage] = []
    if settings.EMAIL_BACKEND != SMTP_BACKEND:
        found.append(Warning("EMAIL_URL names no mail server: partners get no e-mail", id="core.W022"))
    if settings.DEFAULT_FROM_EMAIL.rstrip(">").endswith("@localhost"):
        found.append(Warning("DEFAULT_FROM_EMAIL is not set: mail servers refuse its sender", id="core.W023"))
    return found
