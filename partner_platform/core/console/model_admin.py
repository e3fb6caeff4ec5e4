"""The base of every model's pages in the console.

A list can be filtered by what its `list_filter` declares and by nothing else. Django lets the address filter by any
column of the model: whoever may see the list could find out a hash or a ciphertext letter by letter, by
`?key_hash__startswith=a`.
"""

import logging
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.filters import ListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList, ChangeListSearchForm
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from partner_platform.core.console.site import NUL
from partner_platform.core.console.step_up import ask_again
from partner_platform.core.postponed import Postponed

logger = logging.getLogger(__name__)

MAX_SEARCH_LENGTH = 200  # more words make a statement that SQLite refuses
# How Django's filters ask for the values of a declared field; "" is the field's name alone.
_ENDINGS = ("", "__exact", "__isnull", "__gte", "__lt", "__id__exact")


class SearchForm(ChangeListSearchForm):
    """The search of a list, bounded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields = {SEARCH_VAR: forms.CharField(required=False, strip=False, max_length=MAX_SEARCH_LENGTH)}


class ConsoleChangeList(ChangeList):
    """A list that treats a filter value which the database cannot read as an invalid value."""

    search_form_class = SearchForm

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except (ValueError, OverflowError, ValidationError, DataError) as error:
            logger.warning("a list's filter cannot be used: %s", error)
            raise IncorrectLookupParameters(error) from error


class ConsoleAdmin(admin.ModelAdmin):
    """Every model of the console is registered with a class made of this one."""

    view_on_site = False
    # Before these the person proves again who they are (`step_up`).
    dangerous_actions: frozenset[str] = frozenset()
    dangerous_fields: frozenset[str] = frozenset()  # where the form changes one of them
    is_adding_dangerous = False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        is_dangerous = request.method == "POST" and self.dangerous_actions.intersection(request.POST.getlist("action"))
        asked = ask_again(request) if is_dangerous else None
        return asked or super().changelist_view(request, extra_context)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        is_dangerous = request.method == "POST" and self.is_adding_dangerous and self.has_add_permission(request)
        asked = ask_again(request) if is_dangerous else None
        return asked or super().add_view(request, form_url, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        is_dangerous = request.method == "POST" and self._changes_dangerously(request, object_id)
        asked = ask_again(request) if is_dangerous else None
        return asked or super().change_view(request, object_id, form_url, extra_context)

    def _changes_dangerously(self, request: HttpRequest, object_id: str) -> bool:
        row = self.get_object(request, unquote(object_id)) if self.dangerous_fields else None
        if row is None or not self.has_change_permission(request, row):
            return False  # nothing is changed
        form = self.get_form(request, row, change=True)(request.POST, request.FILES, instance=row)
        return not self.dangerous_fields.isdisjoint(form.changed_data)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether the address may filter by `lookup`: where a filter of the list does."""
        return lookup in self._declared_lookups(request)

    def _declared_lookups(self, request: HttpRequest | None) -> set[str]:
        found = set()
        for declared in self.get_list_filter(request):  # type: ignore[arg-type]
            if isinstance(declared, type) and issubclass(declared, ListFilter):
                found.add(str(declared.parameter_name))  # type: ignore[attr-defined]
            else:
                field = declared[0] if isinstance(declared, tuple | list) else declared
                found |= {f"{field}{ending}" for ending in _ENDINGS}
        return found

    def get_changelist(self, request: HttpRequest, **kwargs: object) -> type[ChangeList]:
        return ConsoleChangeList

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """Refuse requests that no page of ours sends, before an action runs."""
        if any(NUL in text for name, values in request.POST.lists() for text in (name, *values)):
            raise SuspiciousOperation("a NUL character in a form")
        if not all(self._is_key(chosen) for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            self.message_user(request, "What was chosen is not in this list. Nothing was done.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        try:
            response: HttpResponse | None = super().response_action(request, queryset, *args)
        except Postponed as postponed:
            self.message_user(request, postponed.message, messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        return response

    def _is_key(self, text: str) -> bool:
        key = self.opts.pk
        try:
            key.run_validators(key.to_python(text))
        except (ValidationError, ValueError, TypeError, OverflowError):
            return False
        return True


class ReadOnlyAdmin(ConsoleAdmin):
    """A model that only the services write: staff may read and search it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class ReadOnlyInline(admin.TabularInline):
    """Rows shown on another row's page."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
