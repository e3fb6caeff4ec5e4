"""Pages of lists: the query that chooses one, and the fields that every page has beside its rows."""

# ruff: noqa: N815 - the contract's names

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from partner_platform.core.openapi.fields import Count
from partner_platform.core.web.pagination import MAX_CURSOR, Page
from partner_platform.core.web.serializers import DayField, DigitsField

MAX_OFFSET = 10_000  # a cursor goes deeper, and costs the same at any depth


class PageQuery(serializers.Serializer):
    """Which page of a list: `offset` for the first rows, `cursor` (the `next` of the page before) at any depth."""

    limit = DigitsField(min_value=1, max_value=100, required=False, default=10, help_text="Rows on the page.")
    offset = DigitsField(
        min_value=0, max_value=MAX_OFFSET, required=False, default=0, help_text="Rows before the page."
    )
    cursor = serializers.CharField(
        max_length=MAX_CURSOR,
        trim_whitespace=False,
        required=False,
        default=None,
        help_text="The `next` of the page before.",
    )


class DaysQuery(PageQuery):
    """A page of the rows of whole UTC days, both included."""

    startDate = DayField(required=False, default=None, help_text="The first UTC day.")
    endDate = DayField(required=False, default=None, help_text="The last UTC day, included.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, object]:
        if attrs["startDate"] and attrs["endDate"] and attrs["startDate"] > attrs["endDate"]:
            raise serializers.ValidationError({"endDate": ["Is before startDate."]})
        return attrs


class PageFields(serializers.Serializer):
    """The fields of every page; a list adds its rows."""

    total = Count(help_text="On a page reached by cursor that of the first page.")
    limit = Count()
    offset = Count()
    hasMore = serializers.BooleanField(help_text="Whether rows follow this page.")
    next = serializers.CharField(allow_null=True, help_text="For `?cursor=`; null on the last page.")


PAGE_EXAMPLE = {
    "total": 234,
    "limit": 10,
    "offset": 0,
    "hasMore": True,
    "next": "WyIyMDI2LTAxLTA1VDEwOjMwOjAwWiIsIjdjM2YiLDIzNCwiYWJjIl0.q0xPjm6r0n5hJt3sVd9wYk2uCz8bLe4fAo1iGpTnRMs",
}


def present_page(page: Page, query: Mapping[str, object]) -> dict[str, object]:
    """The fields of `PageFields`; `query` is a validated `PageQuery`."""
    return {
        "total": page.total,
        "limit": query["limit"],
        "offset": query["offset"],
        "hasMore": page.has_more,
        "next": page.next,
    }
