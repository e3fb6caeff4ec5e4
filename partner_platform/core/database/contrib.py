"""The settings that differ on MongoDB: contrib apps, their migrations and keys."""

from dataclasses import dataclass, field
from typing import Any

from partner_platform.core.database.url import MONGODB_ENGINE

_STOCK_APPS = ("admin", "auth", "contenttypes")


@dataclass(frozen=True)
class Contrib:
    """The three contrib apps with models of their own that need a key from the database; the admin is the console."""

    apps: list[str] = field(
        default_factory=lambda: [
            "partner_platform.core.console.apps.ConsoleConfig",
            "django.contrib.auth",
            "django.contrib.contenttypes",
        ]
    )
    migration_modules: dict[str, str] = field(default_factory=dict)
    auto_field: str = "django.db.models.BigAutoField"


def contrib_for(database: dict[str, Any]) -> Contrib:
    """The contrib apps that fit a `DATABASES` entry."""
    if database["ENGINE"] != MONGODB_ENGINE:
        return Contrib()
    return Contrib(
        apps=[
            "partner_platform.core.mongodb.apps.MongoAdminConfig",
            "partner_platform.core.mongodb.apps.MongoAuthConfig",
            "partner_platform.core.mongodb.apps.MongoContentTypesConfig",
        ],
        migration_modules={label: f"{MONGODB_ENGINE}.migrations.{label}" for label in _STOCK_APPS},
        auto_field="django_mongodb_backend.fields.ObjectIdAutoField",
    )
