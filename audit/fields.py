"""A JSON value stored as the text that is hashed."""

import json
from typing import Any

from django.db import models

from audit.trail.canonical import canonical_json


class CanonicalJSONField(models.TextField):
    """Any JSON value in Python, its canonical text in the database.

    A JSON column of the database's own is stored as each of them likes (PostgreSQL sorts names by length, MongoDB
    keeps documents), so what was hashed could not be read back byte for byte.
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, *_: object) -> object:
        return None if value is None else json.loads(value)

    def to_python(self, value: object) -> object:
        return value

    def get_prep_value(self, value: object) -> str | None:
        return None if value is None else canonical_json(value)

    def value_to_string(self, obj: Any) -> str:
        return canonical_json(self.value_from_object(obj))
