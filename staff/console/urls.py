"""Paths below /console/ that come before those of Django's admin."""

from collections.abc import Callable

from django.contrib import admin
from django.http import HttpResponse
from django.urls import URLPattern, path

from staff.console import login, own_account


def _of_staff(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
    """A page that every signed-in member of staff may open."""
    return path(route, admin.site.admin_view(view), name=name)


urlpatterns = [
    path("login/", login.login, name="console_login"),
    path("login/factor/", login.factor, name="console_factor"),
    path("login/enrol/", login.enrol, name="console_enrol"),
    _of_staff("logout/", login.logout, "console_logout"),
    _of_staff("password_change/", own_account.own_password_page, "own_password"),
    _of_staff("account/", own_account.own_account, "own_account"),
    _of_staff("account/factors/add/", own_account.add_own_factor, "own_factor_add"),
    _of_staff("account/factors/app/remove/", own_account.remove_own_app, "own_app_remove"),
    _of_staff("account/passkeys/<uuid:passkey_id>/remove/", own_account.remove_own_passkey, "own_passkey_remove"),
    _of_staff("account/recovery_codes/", own_account.renew_own_codes, "own_codes_renew"),
    _of_staff("account/sessions/<uuid:session_id>/end/", own_account.end_listed_session, "own_session_end"),
]
