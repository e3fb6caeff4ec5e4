"""Rows of every model as lines of JSON, from one database to another of any engine.

The engines differ in the contrib apps' keys (numbers on SQL, ObjectIds on MongoDB), so two processes do it, each with
the settings of its own database: the one writes lines, the other reads them. A line is a JSON object of `model` and
`rows`, a row is its fields as `value_to_string` gives them, JSON as it is. Keys that the database generates are
generated anew, with the references to them; what `migrate` itself makes (content types, permissions, groups) is
matched by natural key. Sessions are not copied: they name their user by a key that may be another user's in the
target.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from django.apps import apps
from django.core.serializers import sort_dependencies
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.fields import AutoFieldMixin

from partner_platform.core.fields import Uint256Field

BATCH = 500
Row = dict[str, Any]
# Made by `migrate`: the fields that tell one of them.
NATURAL_KEYS = {
    "contenttypes.contenttype": ("app_label", "model"),
    "auth.permission": ("content_type_id", "codename"),
    "auth.group": ("name",),
}
LEFT_BEHIND = {"sessions.session"}


class CopyError(Exception):
    """The copy cannot begin, or did not arrive whole."""


def copied_models() -> list[type[models.Model]]:
    """Every managed model with its implicit tables of many-to-many, each after those it points at."""
    ordered = sort_dependencies([(config, None) for config in apps.get_app_configs()], allow_cycles=True)
    own = [m for m in ordered if m._meta.managed and not m._meta.proxy and label(m) not in LEFT_BEHIND]
    through: list[Any] = [field.remote_field.through for model in own for field in model._meta.local_many_to_many]
    return [*_parents_first(own), *(model for model in through if model._meta.auto_created)]


def _parents_first(found: list[type[models.Model]]) -> list[type[models.Model]]:
    """sort_dependencies looks at natural keys only; references count as well."""
    ordered: list[type[models.Model]] = []

    def place(model: type[models.Model]) -> None:
        for field in _columns(model):
            parent = field.related_model
            if parent in found and parent is not model and parent not in ordered:
                place(parent)
        if model not in ordered:
            ordered.append(model)

    for model in found:
        place(model)
    return ordered


def dump(output: IO[str]) -> None:
    """Write all rows. Nobody may write meanwhile: no engine keeps a snapshot for as long as this may take."""
    for model in copied_models():
        batches = _batches(model._base_manager.order_by("pk").iterator(chunk_size=BATCH))
        output.writelines(_line(model, rows) for rows in batches)


def _line(model: type[models.Model], rows: list[Row]) -> str:
    return json.dumps({"model": label(model), "rows": rows}, cls=DjangoJSONEncoder) + "\n"


def _batches(instances: Iterable[models.Model]) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for instance in instances:
        rows.append({field.attname: _dumped(field, instance) for field in _columns(type(instance))})
        if len(rows) == BATCH:
            yield rows
            rows = []
    if rows:
        yield rows


def _dumped(field: Any, instance: models.Model) -> Any:
    value = field.value_from_object(instance)
    return value if value is None or isinstance(field, models.JSONField) else field.value_to_string(instance)


class Loader:
    """Takes the lines of `dump` into an empty, migrated database."""

    def __init__(self) -> None:
        # (label, key there) -> key here, of models whose key the database makes
        self.keys: dict[tuple[str, str], Any] = {}

    def require_empty(self) -> None:
        """Raise `CopyError` where the target holds anything that `migrate` did not make."""
        for model in copied_models():
            if label(model) not in NATURAL_KEYS and model._base_manager.exists():
                raise CopyError(f"the target is not empty: it has rows of {label(model)}")

    def load(self, lines: Iterable[str]) -> int:
        """Insert the lines' rows and return how many there were."""
        total = 0
        for line in lines:
            message = json.loads(line)
            total += len(message["rows"])
            model = apps.get_model(message["model"])
            if message["model"] in NATURAL_KEYS:
                self._match(model, message["rows"])
            else:
                self._insert(model, message["rows"])
        return total

    def _insert(self, model: type[models.Model], rows: list[Row]) -> None:
        with _own_times(model):
            created = model._base_manager.bulk_create([self._instance(model, row) for row in rows])
        self._remember(model, rows, created)

    def _match(self, model: type[models.Model], rows: list[Row]) -> None:
        for row in rows:
            wanted = self._instance(model, row)
            names = NATURAL_KEYS[label(model)]
            key = {name: getattr(wanted, name) for name in names}
            found = model._base_manager.filter(**key).first()
            if found is None:
                wanted.save(force_insert=True)
                found = wanted
            self._remember(model, [row], [found])

    def _instance(self, model: type[models.Model], row: Row) -> models.Model:
        instance = model()
        for field in _columns(model):
            if not _is_made_by_the_database(field):
                setattr(instance, field.attname, self._loaded(field, row[field.attname]))
        return instance

    def _loaded(self, field: Any, value: Any) -> Any:
        if value is None or isinstance(field, models.JSONField):
            return value
        parent = field.related_model
        if parent is not None and _is_made_by_the_database(parent._meta.pk):
            return self.keys[label(parent), str(value)]
        return field.to_python(value)

    def _remember(self, model: type[models.Model], rows: list[Row], instances: list[Any]) -> None:
        pk: Any = model._meta.pk
        if _is_made_by_the_database(pk):
            for row, instance in zip(rows, instances, strict=True):
                self.keys[label(model), row[pk.attname]] = instance.pk


@contextmanager
def _own_times(model: type[models.Model]) -> Iterator[None]:
    """Keep `auto_now` from overwriting the rows' own times."""
    stamping = [field for field in _columns(model) if getattr(field, "auto_now", False)]
    for field in stamping:
        field.auto_now = False
    try:
        yield
    finally:
        for field in stamping:
            field.auto_now = True


def sums() -> dict[str, dict[str, str]]:
    """Per model the number of rows and the sum of every integer column and uint256, for both sides to compare."""
    return {label(model): _sums_of(model) for model in copied_models() if label(model) not in NATURAL_KEYS}


def _sums_of(model: type[models.Model]) -> dict[str, str]:
    numbers = [field for field in _columns(model) if _is_number(field)]
    totals = dict.fromkeys((field.attname for field in numbers), 0)
    count = 0
    # Added here, not by the database: a SUM of 64-bit amounts may overflow there.
    for row in model._base_manager.values_list(*totals).iterator(chunk_size=BATCH) if totals else ():
        count += 1
        for name, value in zip(totals, row, strict=True):
            totals[name] += int(value or 0)
    count = count if totals else model._base_manager.count()
    return {"rows": str(count), **{name: str(total) for name, total in totals.items()}}


def _is_number(field: Any) -> bool:
    is_key = field.related_model is not None or field.primary_key
    return not is_key and isinstance(field, models.IntegerField | Uint256Field)


def _is_made_by_the_database(field: object) -> bool:
    return isinstance(field, AutoFieldMixin)


def _columns(model: type[models.Model]) -> list[Any]:
    return list(model._meta.local_concrete_fields)


def label(model: type[models.Model]) -> str:
    """`app.model`, the same in both processes."""
    return model._meta.label_lower
