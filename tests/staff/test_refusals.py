"""At an address that is refused too often staff are let through by their access token, and strangers are not."""

from typing import Any

import jwt
import pytest
from django.conf import settings as platform
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.calls import refused_calls
from audit.models import ApiLog
from partner_platform.core.web.turning_away import early_refusal
from staff.models import ApiSession
from tests.support.signing_in import ADDRESS, CLIENT, outcome, post, sign_in, tokens_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counts")]

LIMIT = 5
TURNED_AWAY, NOT_FOUND, INVALID = (429, "address_rate_limited"), (404, "not_found"), (401, "invalid_token")


@pytest.fixture(autouse=True)
def the_limit(settings: Any) -> None:
    settings.RATE_LIMIT_REFUSED = LIMIT


def get(path: str, token: str) -> tuple[int, str]:
    return outcome(CLIENT.get(path, headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR=ADDRESS))


def flood() -> None:
    for _ in range(LIMIT + 2):
        get("/nowhere", "x")
    assert get("/nowhere", "x") == TURNED_AWAY


def changed(token: str, key: str, **claims: object) -> str:
    return jwt.encode({**jwt.decode(token, options={"verify_signature": False}), **claims}, key, algorithm="HS256")


def test_an_access_token_passes_at_a_flooded_address_without_a_query_more_and_a_forged_one_does_not(ann: User) -> None:
    pair = tokens_of(ann)
    flood()
    forged = changed(pair.access, platform.SECRET_KEY)
    of_another_kind = changed(pair.access, str(platform.SIMPLE_JWT["SIGNING_KEY"]), token_type="refresh")
    with CaptureQueriesContext(connection) as queries:
        assert get("/nowhere", forged) == TURNED_AWAY
        assert get("/nowhere", of_another_kind) == TURNED_AWAY
        assert get("/nowhere", f"{pair.access}x") == TURNED_AWAY
        assert get("/nowhere", pair.access) == NOT_FOUND
    assert queries.captured_queries == []
    assert post("/auth/logout", token=pair.access).status_code == 200


def test_the_web_server_turns_away_strangers_and_not_who_has_an_access_token(ann: User) -> None:
    pair = tokens_of(ann)
    flood()
    refused_calls.pending.forget()  # while counts are due to be sent, the application decides
    meta = {"REMOTE_ADDR": ADDRESS, "HTTP_AUTHORIZATION": f"Bearer {pair.access}"}
    with CaptureQueriesContext(connection) as queries:
        assert early_refusal(meta, "/auth/logout") is None
        assert early_refusal({**meta, "HTTP_AUTHORIZATION": "Bearer x"}, "/auth/logout") is not None
    assert queries.captured_queries == []


def test_a_token_that_ended_a_while_ago_still_lets_its_session_be_refreshed_there(ann: User) -> None:
    pair = tokens_of(ann)
    key = str(platform.SIMPLE_JWT["SIGNING_KEY"])
    now = jwt.decode(pair.access, options={"verify_signature": False})["iat"]
    flood()
    body = {"refresh": pair.refresh}
    assert outcome(post("/auth/token/refresh", body)) == TURNED_AWAY
    assert outcome(post("/auth/token/refresh", body, token=changed(pair.access, key, exp=now - 3600))) == TURNED_AWAY
    assert post("/auth/token/refresh", body, token=changed(pair.access, key, exp=now - 60)).status_code == 200


def test_wrong_tokens_and_wrong_sign_ins_count_as_refusals_of_their_address(ann: User) -> None:
    assert [get("/auth/logout", "x") for _ in range(2)] == [INVALID] * 2
    assert [outcome(post("/auth/logout", token="x")) for _ in range(2)] == [INVALID] * 2
    assert sign_in(password="wrong").status_code == 401
    assert outcome(sign_in(password="wrong")) == TURNED_AWAY


def test_what_staff_are_refused_counts_for_nobody(ann: User) -> None:
    pair = tokens_of(ann)
    answers = {outcome(post("/auth/logout?limt=1", token=pair.access)) for _ in range(2 * LIMIT)}
    assert answers == {(400, "invalid_request")}
    assert get("/nowhere", "x") == NOT_FOUND
    assert ApiSession.objects.get().ended_at is None


def test_no_call_of_a_sign_in_is_in_the_partners_log_of_calls(ann: User) -> None:
    pair = tokens_of(ann)
    sign_in(password="wrong")
    post("/auth/token/refresh", {"refresh": pair.refresh})
    post("/auth/logout", token=pair.access)
    assert not ApiLog.objects.exists()
