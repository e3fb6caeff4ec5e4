"""The console as a browser uses it: a form's hidden fields are sent along with it, redirects are followed."""

import html
import re
import uuid
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client

# What staff types into the form of a new partner: $50,000 a day, $200,000 in all, a fee of 0.75 %.
NEW_PARTNER = {
    "partner_name": "New Lending Platform",
    "key_label": "nlp",
    "tier": "BASIC",
    "daily_borrow_limit": "50000",
    "total_borrow_limit": "200000",
    "platform_fee_percentage": "75",
    "settlement_address": "0x7d650b01ea0700f7553d9260a76546ab1a97a1d7",
    "repayment_funding": "PROVEN",
    "contact_email": "api@newplatform.com",
}

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def open_session_of_test_client(*, request: HttpRequest, user: User, **_: object) -> None:
    """A session such as the console opens, for a test client that is logged in without its pages."""
    if request.method is not None:  # of the console itself
        return
    from staff.models import ConsoleSession  # models are not loaded when pytest reads its plugins

    request.session["console_session"] = ConsoleSession.objects.create(user=user, with_factor=True).pk.hex


def hidden_fields(page: Any) -> dict[str, list[str]]:
    """What the forms of a page (a response, or its text) send without being asked."""
    found: dict[str, list[str]] = {}
    for name, value in _HIDDEN.findall(page if isinstance(page, str) else page.content.decode()):
        found.setdefault(html.unescape(name), []).append(html.unescape(value))
    return found


def token_in(page: Any) -> str:
    """The token of the page's form."""
    return hidden_fields(page)["form_token"][0]


def new_token() -> str:
    """A token such as a page that is drawn now has."""
    return str(uuid.uuid4())


def send(console: Client, path: str, form: dict[str, Any], *, follow: bool = True) -> Any:
    """Open the form of `path`, fill it in and send it."""
    return console.post(path, {**form, "form_token": token_in(console.get(path))}, follow=follow)


def act(console: Client, path: str, action: str, *chosen: Any, follow: bool = True, **more: Any) -> Any:
    """Choose rows of the list at `path` and run an action on them."""
    data = {"action": action, "_selected_action": [str(row.pk) for row in chosen], "index": "0", **more}
    return send(console, path, data, follow=follow)
