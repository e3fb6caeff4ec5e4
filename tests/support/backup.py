"""A backup of some tables, and the restored database: the rows of then, and none of those that came since."""

from typing import Any

from django.db.models import Model


class Backup:
    """Taken at once; `models` in the order in which rows may be made."""

    def __init__(self, *models: type[Model]) -> None:
        self._rows: dict[type[Model], list[Any]] = {model: list(model._default_manager.all()) for model in models}

    def restore(self) -> None:
        """Put it back."""
        for model, rows in self._rows.items():
            for row in rows:
                row.save()
            self._rows[model] = rows
        for model, rows in reversed(self._rows.items()):
            model._default_manager.exclude(pk__in=[row.pk for row in rows]).delete()
