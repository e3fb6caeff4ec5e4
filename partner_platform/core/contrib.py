"""What settings.py says differently where the database is MongoDB: contrib apps, their migrations, the key they make."""

from dataclasses import dataclass, field
from typing import Any

_MONGODB = "partner_platform.core.mongodb"
_STOCK_APPS = ("admin", "auth", "contenttypes")


@dataclass(frozen=True)
class Contrib:
    """The three contrib apps with models of their own that need a key from the database."""

    apps: list[str] = field(default_factory=lambda: [f"django.contrib.{label}" for label in _STOCK_APPS])
    migration_modules: dict[str, str] = field(default_factory=dict)
    auto_field: str = "django.db.models.BigAutoField"


def contrib_for(database: dict[str, Any]) -> Contrib:
    """The contrib apps that fit a `DATABASES` entry."""
    if database["ENGINE"] != _MONGODB:
        return Contrib()
    return Contrib(
        apps=[f"{_MONGODB}.apps.Mongo{name}Config" for name in ("Admin", "Auth", "ContentTypes")],
        migration_modules={label: f"{_MONGODB}.migrations.{label}" for label in _STOCK_APPS},
        auto_field="django_mongodb_backend.fields.ObjectIdAutoField",
    )
