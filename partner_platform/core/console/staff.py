"""Users and groups in the console: only superusers grant.

Django's own pages let whoever may change users make himself a superuser, or set a superuser's password and log in with
it. Here a right, a group, a status, a name to log in with and a password are a superuser's to give; `change_user`
corrects people's names and e-mail addresses, superusers' excepted; `add_user` opens an account that may do nothing yet.
"""

from typing import Any

from django.contrib.auth import admin as auth_admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from partner_platform.core.console.model_admin import ConsoleAdmin

HARMLESS_FIELDS = ("first_name", "last_name", "email")
_SHOWN_TO_OTHERS = (
    (None, {"fields": ("username", *HARMLESS_FIELDS)}),
    ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
    ("Important dates", {"fields": ("last_login", "date_joined")}),
)


class StaffAdmin(ConsoleAdmin, auth_admin.UserAdmin):
    """Users."""

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None or _is_superuser(request):
            return super().get_fieldsets(request, obj)
        return _SHOWN_TO_OTHERS  # not what is known of the password

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None or _is_superuser(request):
            return super().get_readonly_fields(request, obj)
        shown = [name for _, options in _SHOWN_TO_OTHERS for name in options["fields"]]
        return tuple(name for name in shown if name not in HARMLESS_FIELDS)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django passes it by name
        """A password is all that its account may do, so that setting one is granting it."""
        if not _is_superuser(request):
            raise PermissionDenied
        response: HttpResponse = super().user_change_password(request, id, form_url)
        return response


class GroupAdmin(ConsoleAdmin, auth_admin.GroupAdmin):
    """Groups: others than superusers look."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """A superuser's account is for superusers only."""
    return user is None or not user.is_superuser or _is_superuser(request)
