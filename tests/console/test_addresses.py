"""What somebody writes into the address or a form by hand: refused or found nothing, never an error of ours.

And a list is no oracle: nobody finds out what it does not show by filtering it.
"""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django_redis import get_redis_connection

from audit.models import ApiLog, AuditEntry
from partners.models import ApiKey
from tests.console.permission_table import PAGES
from tests.factories import ApiKeyFactory
from tests.support.acting import staff
from tests.support.books_rows import BooksRows
from tests.support.console import new_token

pytestmark = pytest.mark.django_db

IDS = (
    *("abc", "0", "-1", "²", "99999999999999999999999", "00000000-0000-0000-0000-000000000000", "f" * 24),
    *("%00", "a%00b", "%ff", "a/b", "..", "_00", "_5F", "None", "x" * 500, "%7B%22$gt%22:1%7D"),
)
QUERIES = (
    *("q=%00", "q=a%00b", "q=%ff", "q=%22", "q=" + "x" * 5_000, "q=" + "+".join("ab" * 700), "q=.*", "q=$where"),
    *("p=-1", "p=0", "p=abc", "p=%00", "p=99999999999999999999999", "all=", "all=%00", "e=1", "=", "%00=1"),
    *("o=99", "o=-99", "o=abc", "o=1.1.1", "o=%00", "o=-", "_facets=True", "_popup=1", "_to_field=id"),
    *("_to_field=key_hash", "_to_field=%00", "_changelist_filters=%2500", "_changelist_filters=a%3Db%26c"),
)
FILTERS = {
    "loans/solvencyposition": (
        "risk=near",
        "risk=%00",
        "risk=x",
        "frozen__exact=x",
        "frozen__exact=%C2%B2",
        "token_type=x",
    ),
    "audit/apilog": (
        *("partner=%00", "partner=x", "status=%C2%B2", "status=%D9%A1", "status=99999999999999999999999"),
        *("success__exact=2", "success__isnull=x", "success__exact=%00"),
    ),
    "audit/auditentry": (
        *("timestamp__gte=x", "timestamp__gte=%00", "timestamp__lt=9999-12-31T23:59:59-12:00"),
        *("timestamp__gte=0001-01-01T00:00:00%2B14:00", "timestamp__gte=2026-13-01", "timestamp__lt=10000-01-01"),
        *("timestamp__isnull=x", "timestamp__gte=2026-01-01T00:00:00Z&timestamp__gte=2026-01-02T00:00:00Z"),
    ),
    "partners/partner": ("status__exact=%00", "status__exact=x", "status__isnull=x", "status__exact=", "tier=x"),
    "loans/partnerloan": ("partner_name=%00", "partner_name__isnull=x", "partner_name=x", "created_at__gte=x"),
    "auth/user": (
        *("groups__id__exact=x", "groups__id__exact=99999999999999999999999", "groups__isnull=x", "groups__exact=x"),
        *("is_staff__exact=abc", "is_active__exact=99999999999999999999999"),
    ),
    "chain/operation": ("acknowledged__exact=x", "kind=x", "state__exact=%00"),
}


@pytest.fixture
def console(console: Client) -> Client:
    """A superuser's browser that is told of an error of ours, and raises none."""
    console.raise_request_exception = False
    return console


@pytest.fixture
def rows() -> None:
    """Something in the lists."""
    ApiKeyFactory.create()
    books = BooksRows()
    books.loan(books.partner(), books.position())
    AuditEntry.objects.create(actor=staff("ann"), action="x.y", target="partner:p", before=None, after=None)
    ApiLog.objects.create(endpoint="/x", method="GET", status_code=200, response_time=1, success=True, request_id="r")


def lists() -> Iterator[str]:
    for model in PAGES:
        yield reverse(f"admin:{model.replace('.', '_')}_changelist")


def not_ours(answer: Any) -> bool:
    return answer.status_code in (200, 302, 400, 403, 404)


def test_no_query_of_a_list_is_an_error_of_ours(console: Client, rows: None) -> None:
    general = dict.fromkeys(("partners/partner", "audit/apilog", "auth/user"), QUERIES)
    asked = [(name, query) for queries in (general, FILTERS) for name in queries for query in queries[name]]
    answers = {f"{name}/?{query[:80]}": console.get(f"/console/{name}/?{query}") for name, query in asked}
    assert [address for address, answer in answers.items() if not not_ours(answer)] == []
    assert answers["audit/apilog/?all="].status_code == 200  # control
    assert answers["audit/apilog/?%00=1"].status_code == 400


def test_no_id_in_an_address_is_an_error_of_ours(console: Client) -> None:
    pages = {"partners/partner": ("", "change/", "history/", "delete/"), "auth/user": ("", "change/", "password/")}
    asked = [f"/console/{name}/{key}/{page}" for name in pages for key in IDS for page in pages[name]]
    asked += [f"{path}{key}/change/" for path in lists() for key in IDS[:8]]
    wrong = []
    for address in asked:
        answers = [console.get(address), console.post(address, {"post": "yes"})]
        wrong += [f"{address}: {answer.status_code}" for answer in answers if not not_ours(answer)]
        if "%00" in address:
            assert [answer.status_code for answer in answers] == [404, 404], address
    assert wrong == []


@pytest.mark.parametrize("path", ["r/{0}/{0}/", "sent/{0}/", "{0}/", "partners/{0}/", "partners/partner/sent/{0}/"])
def test_no_page_of_the_site_takes_a_malformed_id(console: Client, path: str) -> None:
    answers = {name: console.get(f"/console/{path.format(name)}").status_code for name in IDS}
    assert {name: status for name, status in answers.items() if status not in (302, 404)} == {}


@pytest.mark.parametrize("cookie", ['"\\000aaaaaaaaaaaa"', '"a\\000b\\377aaaaaaaa"', "aaaaaaaaaaaa", "x" * 3_000, ""])
def test_no_cookie_of_a_stranger_is_an_error_of_ours(cookie: str) -> None:
    stranger = Client(raise_request_exception=False)
    for name in ("sessionid", "csrftoken", "messages"):
        answer = stranger.get("/console/", headers={"Cookie": f"{name}={cookie}"})
        assert (answer.status_code, answer["Location"]) == (302, "/console/login/?next=/console/"), name
        assert stranger.get("/console/login/", headers={"Cookie": f"{name}={cookie}"}).status_code == 200


def test_no_login_or_change_of_a_password_is_an_error_of_ours(console: Client) -> None:
    stranger = Client(raise_request_exception=False)
    for text in ("\x00", "a\x00b", "x" * 10_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")):
        get_redis_connection("default").flushdb()  # wrong tries are counted, and a few of them are too many
        assert stranger.post("/console/login/", {"username": text, "password": "p"}).status_code == 200
        assert stranger.post("/console/login/", {"username": "ann", "password": text}).status_code == 200
        change = {"old_password": text, "new_password1": text, "new_password2": text}
        assert console.post("/console/password_change/", change).status_code == 200
    for query in ("next=%00", "next=//elsewhere.example", "next=%ff"):
        assert stranger.get(f"/console/login/?{query}").status_code == 200
        refused = console.get(f"/console/login/?{query}")
        assert refused.status_code == 302
        assert refused["Location"] == "/console/"


def test_pages_that_nothing_uses_are_not_there(console: Client) -> None:
    user = str(User.objects.get().pk)
    for path in (f"r/{user}/{user}/", "autocomplete/?app_label=partners&model_name=apikey&field_name=partner&term="):
        assert console.get(f"/console/{path}").status_code == 404, path
        assert Client().get(f"/console/{path}").status_code == 302  # a stranger is not told


def test_no_row_that_is_chosen_by_hand_is_an_error_of_ours(console: Client) -> None:
    key = ApiKeyFactory.create()
    chosen = ["abc", "²", "99999999999999999999999", "f" * 24, "\x00", "", "../", "{'$gt': ''}", "0" * 32]
    actions = {
        "auth_user": "delete_selected",
        "auth_group": "delete_selected",
        "partners_partner": "rotate_key_now",
        "partners_apikey": "revoke",
        "loans_partnerloan": "default_loans",
    }
    for name, action in actions.items():
        path = reverse(f"admin:{name}_changelist")
        for row in chosen:
            data = {"action": action, "_selected_action": [row], "index": "0", "post": "yes", "reason": "x"}
            assert not_ours(console.post(path, {**data, "form_token": new_token()})), (path, row)
    data = {"action": "revoke", "_selected_action": [str(key.pk), "abc"], "index": "0", "form_token": new_token()}
    page = console.post(reverse("admin:partners_apikey_changelist"), data, follow=True)
    assert "What was chosen is not in this list. Nothing was done." in page.content.decode()
    assert ApiKey.objects.get().revoked_at is None


def test_a_reason_with_a_nul_in_it_is_refused(console: Client) -> None:
    data = {"action": "default_loans", "_selected_action": ["0" * 32], "index": "0", "reason": "a\x00b"}
    path = reverse("admin:loans_partnerloan_changelist")
    assert console.post(path, {**data, "form_token": new_token()}).status_code == 400


def asked_fields(model: Any) -> Iterator[str]:
    """Every column that a list's address could name: the model's own, and those of what it is related to."""
    for field in model._meta.get_fields():
        yield field.name
        if field.is_relation and field.related_model:
            yield from (f"{field.name}__{inner.name}" for inner in field.related_model._meta.get_fields())


def test_a_list_is_filtered_by_what_it_declares_and_by_nothing_else() -> None:
    let_in, asked = [], 0
    for model, model_admin in admin.site._registry.items():
        request = RequestFactory().get("/console/")
        filters: Any = model_admin.list_filter
        declared = {item if isinstance(item, str) else item.parameter_name for item in filters}
        lookups = {
            f"{field}{ending}"
            for field in set(asked_fields(model)) - declared
            for ending in ("", "__startswith", "__gte", "__regex", "__exact", "__in", "__isnull")
        }
        lookups |= {f"{field}{ending}" for field in declared for ending in ("__startswith", "__regex", "__x__exact")}
        lookups -= {f"{field}__id__exact" for field in declared}  # of a filter by related rows
        asked += len(lookups)
        let_in += [f"{model}: {lookup}" for lookup in lookups if model_admin.lookup_allowed(lookup, "a", request)]
    assert let_in == []
    assert asked > 3_000


SECRETS = (
    *("partners/apikey/?key_hash__startswith=a", "partners/apikey/?key_hash=a", "partners/apikey/?key_hash__gte=a"),
    *("partners/partner/?signing_secret__startswith=gAAAA", "partners/partner/?webhook_secret__startswith=a"),
    *("partners/partner/?api_keys__key_hash__startswith=a", "partners/apikey/?partner__signing_secret__startswith=g"),
    *("auth/user/?password__startswith=pbkdf2", "auth/group/?user__password__startswith=pbkdf2"),
    *(
        "loans/partnerloan/?partner__signing_secret__startswith=g",
        "loans/partnerloan/?user_authorization__signature=0x",
    ),
    "audit/auditentry/?mac__startswith=a",
)


@pytest.mark.parametrize("address", SECRETS)
def test_no_secret_is_read_through_a_list(console: Client, rows: None, address: str) -> None:
    assert console.get(f"/console/{address}").status_code == 400
    assert console.get(f"/console/{address.split('?', maxsplit=1)[0]}").status_code == 200


def test_every_filter_that_a_list_offers_works(console: Client, rows: None) -> None:
    followed = 0
    for path in lists():
        page = console.get(path).content.decode()
        for query in {html.unescape(found) for found in re.findall(r'href="(\?[^"]+)"', page)}:
            assert console.get(f"{path}{query}").status_code == 200, f"{path}{query}"
            followed += 1
    assert followed > 60


def test_every_column_that_sorts_a_list_sorts_it(console: Client, rows: None) -> None:
    for model, model_admin in admin.site._registry.items():
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for number in range(1, len(model_admin.list_display) + 1):
            assert console.get(f"{path}?o={number}.-{number}").status_code == 200
