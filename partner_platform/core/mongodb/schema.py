"""Collections and indexes."""

import datetime as dt
from typing import Any

from bson import ObjectId
from django_mongodb_backend import schema
from pymongo.operations import IndexModel

# For a nullable column, a range that holds every value of its type and no null. The stock `$type` filter means the
# same, but the planner proves only ranges, so an equality lookup scans the collection. Source: INTPYTHON-855, repaired
# in backend 6.0.4.
_RANGES: dict[str, dict[str, Any]] = {
    "string": {"$gte": ""},
    "objectId": {"$gte": ObjectId("0" * 24), "$lte": ObjectId("f" * 24)},
    "long": {"$gte": -(2**63), "$lte": 2**63 - 1},
    "int": {"$gte": -(2**31), "$lte": 2**31 - 1},
    "date": {"$gte": dt.datetime.min, "$lte": dt.datetime.max},  # noqa: DTZ901 - BSON dates have no zone
    "bool": {"$in": [True, False]},
}


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Builds unique indexes without a filter where no column may be null, with a provable one where it may."""

    def add_index(
        self,
        model: Any,
        index: Any,
        *,
        field: Any = None,
        unique: bool = False,
        column_prefix: str = "",
        parent_model: Any = None,
    ) -> None:
        if not (unique and index.fields):
            super().add_index(
                model, index, field=field, unique=unique, column_prefix=column_prefix, parent_model=parent_model
            )
            return
        stock = index.get_pymongo_index_model(
            model, schema_editor=self, field=field, unique=True, column_prefix=column_prefix
        ).document
        fields = [field] if field else [model._meta.get_field(name) for name, _ in index.fields_orders]
        filters = dict(stock.get("partialFilterExpression") or {})
        for column, condition in self._column_filters(filters, fields, column_prefix):
            filters.pop(column, None)
            if condition:
                filters[column] = condition
        options = {"partialFilterExpression": filters} if filters else {}
        keys = list(stock["key"].items())
        collection = self.get_collection((parent_model or model)._meta.db_table)
        collection.create_indexes([IndexModel(keys, name=index.name, unique=True, **options)])

    def _column_filters(
        self, filters: dict[str, Any], fields: list[Any], column_prefix: str
    ) -> list[tuple[str, dict[str, object]]]:
        found = []
        for field in fields:
            column = column_prefix + field.column
            condition = {name: value for name, value in filters.get(column, {}).items() if name != "$type"}
            if field.null:
                type_name = field.db_type(self.connection)
                condition |= _RANGES.get(type_name, {"$type": type_name})
            found.append((column, condition))
        return found
