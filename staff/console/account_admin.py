"""Accounts, roles and sessions in the console: every change goes through `staff.services`, which asks for the right."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.utils import unquote
from django.contrib.auth import admin as auth_admin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import ManyToManyField, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from authority.acting import staff_of
from authority.rights import Right
from authority.roles import Role, rights_of
from partner_platform.core.console.model_admin import ConsoleAdmin, ReadOnlyAdmin
from partner_platform.core.console.step_up import ask_again
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, Forbidden
from partner_platform.core.postponed import Postponed
from staff import access_review
from staff.models import ConsoleSession
from staff.services import accounts, factors, sessions

if TYPE_CHECKING:
    from django.contrib.admin.options import _FieldsetSpec  # of the stubs

DETAILS = ("first_name", "last_name", "email")
RIGHTS = ("is_staff", "is_superuser", "groups")
REVIEW_PAGE = "admin/auth/user/access_review.html"
PASSWORD_PAGE = "admin/auth/user/change_password.html"  # noqa: S105 - a template of Django's

# Django's pages of both are registered when their module is first imported, above.
admin.site.unregister([User, Group])


@admin.register(User)
class StaffAdmin(ConsoleAdmin, auth_admin.UserAdmin):
    """Accounts. They are closed, never deleted: the audit trail names them."""

    list_display = ("username", "email", "first_name", "last_name", "is_staff", "is_active", "last_login")
    actions = ("close_accounts", "reopen_accounts", "reset_second_factors", "end_their_sessions")
    dangerous_fields = frozenset(RIGHTS)
    dangerous_actions = frozenset({"reopen_accounts", "reset_second_factors"})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MANAGE_STAFF)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_theirs = obj is None or not obj.is_superuser or _is_superuser(request)
        return request.user.has_perm(Right.MANAGE_STAFF) and is_theirs

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MANAGE_STAFF)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> "_FieldsetSpec":
        if obj is None:
            return super().get_fieldsets(request, obj)
        name = ("username", "password") if _is_superuser(request) else ("username",)
        return (
            (None, {"fields": (*name, *DETAILS)}),
            ("Rights", {"fields": ("is_active", *RIGHTS)}),
            ("Dates", {"fields": ("last_login", "date_joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        fixed = ("username", "is_active", "last_login", "date_joined")
        return fixed if _grants(request, obj) else (*fixed, *RIGHTS)

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField", request: HttpRequest, **kwargs: object
    ) -> forms.ModelMultipleChoiceField | None:
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=list(Role)).order_by("name")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        view = partial(super().changeform_view, request, object_id, form_url, extra_context)
        if request.method != "POST":
            return view()
        try:
            response: HttpResponse = run_in_transaction(view)
        except Postponed as postponed:
            self.message_user(request, postponed.message, messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        except (BadRequest, Forbidden) as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return response

    def save_model(self, request: HttpRequest, obj: User, form: forms.BaseForm, change: bool) -> None:
        actor, values = staff_of(request.user), form.cleaned_data
        if not change:
            password = values["password1"] if values["set_usable_password"] else None
            opened = accounts.open_account(actor=actor, username=obj.username, password=password)
            obj.__dict__.update(opened.__dict__)
            return
        details = accounts.Details(
            first_name=values["first_name"], last_name=values["last_name"], email=values["email"]
        )
        accounts.change_details(actor=actor, user=obj, details=details)
        if set(RIGHTS) <= set(values):
            accounts.change_rights(
                actor=actor,
                user=obj,
                is_staff=values["is_staff"],
                is_superuser=values["is_superuser"],
                roles=[Role(group.name) for group in values["groups"]],
            )

    def save_related(self, request: HttpRequest, form: forms.BaseForm, formsets: object, change: bool) -> None:
        """Write nothing: `save_model` has written the roles."""

    def get_urls(self) -> list[URLPattern]:
        review = self.admin_site.admin_view(self.access_review_view)
        as_csv = self.admin_site.admin_view(self.access_review_csv_view)
        return [
            path("access_review/", review, name="auth_user_access_review"),
            path("access_review.csv", as_csv, name="auth_user_access_review_csv"),
            *super().get_urls(),
        ]

    def access_review_view(self, request: HttpRequest) -> HttpResponse:
        """The access review as a table."""
        _require(request, Right.VIEW_STAFF)
        lines = list(access_review.lines_of(access_review.access_review()))
        context = {"title": "Access review", "columns": access_review.COLUMNS, "rows": lines, "opts": User._meta}
        return TemplateResponse(request, REVIEW_PAGE, {**self.admin_site.each_context(request), **context})

    def access_review_csv_view(self, request: HttpRequest) -> HttpResponse:
        """The access review as a file."""
        _require(request, Right.VIEW_STAFF)
        headers = {"Content-Disposition": 'attachment; filename="access_review.csv"'}
        response = HttpResponse(content_type="text/csv; charset=utf-8", headers=headers)
        access_review.write_csv(response)  # type: ignore[arg-type]  # a response is written to as a file
        return response

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django passes it by name
        """A password is all that its account may do, so that setting one is granting it."""
        if not _is_superuser(request):
            raise PermissionDenied
        user = self.get_object(request, unquote(id))
        if user is None:
            raise Http404
        return ask_again(request) or self._change_password(request, user)

    def _change_password(self, request: HttpRequest, user: User) -> HttpResponse:
        form = AdminPasswordChangeForm(user, request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            password = form.cleaned_data["password1"] if form.cleaned_data["set_usable_password"] else None
            accounts.set_password(actor=staff_of(request.user), user=user, password=password)
            self.message_user(request, f"The password of {user} was changed.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:auth_user_change", args=[user.pk]))
        fields: _FieldsetSpec = [(None, {"fields": list(form.fields)})]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Set password: {user}",
            "adminForm": AdminForm(form, fields, {}),  # type: ignore[arg-type]  # its stubs want a form of a model
            "form": form,
            "opts": self.opts,
            "original": user,
            "change": False,
            "add": True,
            "show_save": True,
            "save_as": False,
            "has_delete_permission": False,
            "has_change_permission": True,
            "has_absolute_url": False,
        }
        return TemplateResponse(request, PASSWORD_PAGE, context)

    @admin.action(description="Close: nobody signs in with them", permissions=["manage"])
    def close_accounts(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, accounts.close_account, "is closed")

    @admin.action(description="Open again", permissions=["manage"])
    def reopen_accounts(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, accounts.reopen_account, "is open again")

    @admin.action(description="Reset second factors of who has lost them", permissions=["manage"])
    def reset_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, factors.reset_factors, "has no second factor any more")

    @admin.action(description="End their sessions", permissions=["manage"])
    def end_their_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._act(request, queryset, sessions.end_all_sessions, "is signed out everywhere")

    def _act(self, request: HttpRequest, users: QuerySet[User], act: Callable[..., None], done: str) -> None:
        for user in users.order_by("pk"):
            try:
                act(actor=staff_of(request.user), user=user)
            except Forbidden as error:
                self.message_user(request, f"{user}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{user} {done}.", messages.SUCCESS)


class RoleForm(forms.ModelForm):
    """Nothing to fill in."""

    class Meta:
        model = Group
        fields = ("name",)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """Roles, with the rights that the code gives them (`authority.roles`)."""

    form = RoleForm
    ordering = ("name",)
    list_display = ("name", "number_of_rights")
    fields = readonly_fields = ("name", "rights")

    @admin.display(description="rights")
    def number_of_rights(self, group: Group) -> int:
        return len(rights_of([group.name]))

    @admin.display(description="rights")
    def rights(self, group: Group) -> str:
        return ", ".join(sorted(right.partition(".")[2] for right in rights_of([group.name]))) or "-"


@admin.register(ConsoleSession)
class ConsoleSessionAdmin(ReadOnlyAdmin):
    """Who is signed in to the console, and who was."""

    list_display = ("user", "address", "user_agent", "opened_at", "last_seen_at", "ended_at", "ended_because")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-opened_at",)
    actions = ("end_sessions",)
    fields = (*list_display, "with_factor", "proved_at")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MANAGE_STAFF)

    @admin.action(description="End", permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[ConsoleSession]) -> None:
        for session in queryset.order_by("pk"):
            sessions.end_session(actor=staff_of(request.user), session=session)
            self.message_user(request, f"The {session} of {session.user} is ended.", messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _grants(request: HttpRequest, user: User) -> bool:
    """Superusers grant, but nothing to themselves."""
    return _is_superuser(request) and user.pk != request.user.pk


def _require(request: HttpRequest, right: Right) -> None:
    if not request.user.has_perm(right):
        raise PermissionDenied
