"""The keys' rows and the decorator by themselves: sweeping, secrets, and posts done in one transaction."""

import datetime as dt
from typing import Any

import pytest
from django.test import RequestFactory
from redis.exceptions import RedisError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from partner_platform.core import clock
from partner_platform.core.errors import Conflict, ErrorCode, Forbidden, Unavailable
from partner_platform.core.redis import lock
from partners import tasks
from partners.access.principal import PartnerPrincipal
from partners.idempotency import records
from partners.idempotency.view import idempotent
from partners.models import IdempotencyKey, Partner
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "pk_shown_once"


@pytest.fixture
def partner():
    return PartnerFactory.create()


def call(view, partner, key="key-1", body=b"{}") -> Response:
    post = RequestFactory().post("/admin/partners", body, "application/json", headers={"Idempotency-Key": key})
    request: Any = Request(post, parsers=[JSONParser()])
    request.user = PartnerPrincipal(partner)
    return view(None, request)


@idempotent(atomic=True, is_secret=True)
def create(_, request):
    made = PartnerFactory.create(partner_name="Made")
    return Response({"partnerId": made.partner_id, "apiKey": SECRET}, status=201)


def made() -> int:
    return Partner.objects.filter(partner_name="Made").count()


def test_a_post_in_one_transaction_keeps_its_answer_with_what_it_did_and_seals_its_secret(partner):
    first, again = call(create, partner), call(create, partner)

    assert (again.status_code, again.data, again["Idempotent-Replayed"]) == (201, first.data, "true")
    assert "Idempotent-Replayed" not in first
    assert made() == 1
    row = IdempotencyKey.objects.get()
    assert row.answer == ""
    assert SECRET not in row.sealed_answer
    assert row.sealed_answer


def test_a_post_in_one_transaction_that_fails_leaves_neither_row_nor_effect(partner):
    @idempotent(atomic=True)
    def fail(_, request):
        PartnerFactory.create(partner_name="Made")
        raise Unavailable(ErrorCode.DATABASE_UNAVAILABLE, "later")

    with pytest.raises(Unavailable):
        call(fail, partner)

    assert made() == 0
    assert not IdempotencyKey.objects.exists()
    assert call(create, partner).status_code == 201


def test_a_refusal_of_such_a_post_is_kept_and_its_effect_undone(partner):
    @idempotent(atomic=True)
    def refuse(_, request):
        PartnerFactory.create(partner_name="Made")
        raise Forbidden(ErrorCode.PERMISSION_DENIED, "no")

    first = call(refuse, partner)
    again = call(create, partner)

    assert (first.status_code, again.status_code, again.data) == (403, 403, first.data)
    assert made() == 0


def test_8_such_posts_at_once_with_one_key_do_it_once(partner, monkeypatch):
    """Without the lock in Redis: the row alone decides."""

    def no_redis(_):
        raise RedisError("down")

    monkeypatch.setattr(lock, "get_redis_connection", no_redis)

    answers = at_once(8, lambda _: call(create, partner))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data["partnerId"] for answer in answers}) == 1
    assert made() == 1


def test_a_key_in_flight_elsewhere_is_409_until_it_leaves(partner):
    answers: list[Conflict] = []

    @idempotent()
    def busy(_, request):
        with pytest.raises(Conflict) as refused:
            call(busy, partner)
        answers.append(refused.value)
        return Response({}, status=200)

    assert call(busy, partner).status_code == 200
    assert (answers[0].code, answers[0].retry_after) == (ErrorCode.IDEMPOTENCY_KEY_IN_USE, 1)
    assert call(busy, partner)["Idempotent-Replayed"] == "true"


def test_the_sweep_deletes_what_has_expired_in_batches_and_nothing_else(partner, monkeypatch):
    monkeypatch.setattr(records, "SWEEP_BATCH", 3)
    for number in range(8):
        call(create, partner, f"old-{number}")
    call(create, partner, "young")
    call(create, partner, "just in time")
    now = clock.now()
    IdempotencyKey.objects.filter(key__startswith="old").update(expires_at=now - dt.timedelta(seconds=1))
    IdempotencyKey.objects.filter(key="just in time").update(expires_at=now + dt.timedelta(minutes=1))

    assert tasks.sweep_idempotency_keys() == 8
    assert tasks.sweep_idempotency_keys() == 0
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"young", "just in time"}


def test_what_has_expired_and_was_not_swept_is_as_if_it_had_never_been(partner):
    call(create, partner)
    IdempotencyKey.objects.update(expires_at=clock.now())

    assert "Idempotent-Replayed" not in call(create, partner, body=b'{"other": 1}')
    assert made() == 2
    assert IdempotencyKey.objects.get().expires_at > clock.now()


def test_a_view_without_the_header_runs_as_it_is(partner):
    post = RequestFactory().post("/admin/partners", b"{}", "application/json")
    request = Request(post, parsers=[JSONParser()])

    assert create(None, request).status_code == 201
    assert not IdempotencyKey.objects.exists()
