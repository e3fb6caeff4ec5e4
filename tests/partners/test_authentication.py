"""Who gets in with which key, what the others are told, and what it costs."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from partner_platform.core import clock
from partners import keys
from partners.access import admission
from partners.models import ApiKey, Partner, PartnerStatus
from tests.factories import ApiKeyFactory, PartnerFactory, partner_with_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.partners.urls")]


def call(authorization: Any = None) -> Any:
    extra = {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
    return Client(raise_request_exception=False).get("/partners/whoami", **extra)


def assert_refused(response: Any, status: int, code: str, message: str) -> None:
    body = response.json()
    assert (response.status_code, body["code"], body["message"]) == (status, code, message)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def used_just_now(api_key: ApiKey) -> None:
    ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=clock.now())


def test_the_right_key_gets_in() -> None:
    partner, key = partner_with_key()
    response = call(f"Bearer {key}")
    assert response.status_code == 200
    assert response.json() == {"partnerId": partner.partner_id}


def test_the_scheme_is_read_in_any_case() -> None:
    _, key = partner_with_key()
    assert call(f"bearer   {key} ").status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc", "\x00", "é" * 50])
def test_without_a_bearer_key_it_is_missing(header: str | None) -> None:
    assert_refused(call(header), 401, "missing_api_key", "Missing API key")


@pytest.mark.parametrize(
    "key",
    [
        "nonsense",
        "pk_xyz_sandbox_" + "a" * 31,
        "pk_xyz_sandbox_" + "A" * 32,
        "pk_xyz_sandbox_" + "é" * 32,
        "pk_xyz_sandbox_" + "a" * 32,
        "a" * 100_000,
        "\udcff\x00\n",
        "pk_xyz_sandbox_" + "a" * 32 + " and more",
    ],
)
def test_what_is_not_one_of_our_keys_is_invalid(key: str) -> None:
    assert_refused(call(f"Bearer {key}"), 401, "invalid_api_key", "Invalid API key")


def test_a_key_of_the_other_environment_is_told_so_without_a_query(django_assert_num_queries: Any) -> None:
    from rest_framework.request import Request
    from rest_framework.test import APIRequestFactory

    from partner_platform.core.errors import Unauthorized
    from partners.access.authentication import ApiKeyAuthentication

    key = keys.generate("test", "live").key
    assert_refused(
        call(f"Bearer {key}"),
        401,
        "wrong_environment",
        "This API key is of the live environment; this is sandbox",
    )
    request = Request(APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {key}"))
    with django_assert_num_queries(0), pytest.raises(Unauthorized):
        ApiKeyAuthentication().authenticate(request)


@pytest.mark.parametrize("status", [PartnerStatus.SUSPENDED, PartnerStatus.INACTIVE])
def test_a_partner_that_is_not_active_is_refused_by_status(status: str) -> None:
    _, key = partner_with_key(status=status)
    assert_refused(call(f"Bearer {key}"), 403, "partner_not_active", f"Partner account is {status.lower()}")


def test_an_expired_key_is_refused_and_one_in_its_grace_is_not() -> None:
    partner = PartnerFactory.create()
    past, future = (clock.now() + dt.timedelta(hours=hours) for hours in (-1, 1))
    expired, in_grace = (keys.generate("test", "sandbox").key for _ in range(2))
    ApiKeyFactory.create(partner=partner, key=expired, expires_at=past)
    ApiKeyFactory.create(partner=partner, key=in_grace, expires_at=future)
    assert_refused(call(f"Bearer {expired}"), 401, "expired_api_key", "API key has expired")
    assert call(f"Bearer {in_grace}").status_code == 200


def test_a_revoked_key_is_invalid() -> None:
    key = keys.generate("test", "sandbox").key
    ApiKeyFactory.create(key=key, revoked_at=clock.now())
    assert_refused(call(f"Bearer {key}"), 401, "invalid_api_key", "Invalid API key")


def test_an_ordinary_call_costs_one_query_to_authenticate_and_one_to_log() -> None:
    _, key = partner_with_key()
    call(f"Bearer {key}")  # the first call of a minute notes the use
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert call(f"Bearer {key}").status_code == 200
    tables = [query["sql"] for query in queries.captured_queries]
    assert len(tables) == 2, tables
    assert "partners_apikey" in tables[0]
    assert "audit_apilog" in tables[1]


def test_the_use_of_a_key_is_noted_once_a_minute() -> None:
    partner, key = partner_with_key()
    call(f"Bearer {key}")
    api_key = ApiKey.objects.get()
    first = api_key.last_used_at
    assert first is not None
    assert Partner.objects.get(pk=partner.pk).last_used_at == first
    call(f"Bearer {key}")
    assert ApiKey.objects.get().last_used_at == first

    long_ago = clock.now() - dt.timedelta(minutes=2)
    ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=long_ago)
    Partner.objects.filter(pk=partner.pk).update(last_used_at=long_ago)
    get_redis_connection("default").delete(f"key-used:{api_key.pk}")
    call(f"Bearer {key}")
    assert ApiKey.objects.get().last_used_at >= first
    assert Partner.objects.get().last_used_at >= first


def test_of_many_calls_that_find_the_time_stale_one_writes(django_assert_num_queries: Any) -> None:
    api_key = ApiKeyFactory.create()
    request = RequestFactory().get("/partners/whoami")
    with django_assert_num_queries(2):
        admission.admit(request, api_key, moves_money=False)
    with django_assert_num_queries(0):
        admission.admit(request, api_key, moves_money=False)


def test_without_redis_keys_work_and_their_use_is_noted(settings: Any) -> None:
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nowhere}
    partner, key = partner_with_key()
    assert call(f"Bearer {key}").status_code == 200
    assert ApiKey.objects.get(partner_id=partner.pk).last_used_at is not None
