"""Which version of the contract a call is answered in, and how the end of one is announced."""

import datetime as dt
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from partner_platform.core.errors import BadRequest
from partner_platform.core.web import api_versions
from partner_platform.core.web.api_versions import ApiVersion
from partners.models import Partner
from partners.services import update_partner
from tests.factories import partner_with_key

pytestmark = pytest.mark.django_db

STATS = "/partners/my/stats"
OLD, NEW = ApiVersion("2026-01-05"), ApiVersion("2027-03-01")
ENDING = ApiVersion(
    "2026-01-05",
    deprecated=dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    sunset=dt.datetime(2027, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
)


def call(key: str = "", path: str = STATS, version: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Client().get(path, headers={**headers, **({} if version is None else {"API-Version": version})})


def test_the_version_today_is_the_plans() -> None:
    assert api_versions.names() == ["2026-01-05"]
    partner, key = partner_with_key()
    assert partner.api_version == "2026-01-05"
    for version in (None, "2026-01-05"):
        answer = call(key, version=version)
        assert (answer.status_code, answer["API-Version"]) == (200, "2026-01-05")


@pytest.mark.parametrize("version", ["2025-01-01", "", "2026-1-5", "latest", "2026-01-05, 2026-01-05", "x" * 2000])
def test_an_unknown_version_is_refused_and_told_which_there_are(version: str) -> None:
    _, key = partner_with_key()
    answer = call(key, version=version)
    body = answer.json()
    assert (answer.status_code, body["code"], body["retryable"]) == (400, "unsupported_api_version", False)
    assert body["details"] == {"supported": ["2026-01-05"]}
    assert body["message"] == "This API-Version is not supported. Supported: 2026-01-05"
    assert answer["API-Version"] == "2026-01-05"


def test_who_calls_is_asked_before_the_version() -> None:
    assert call(version="2025-01-01").status_code == 401


def test_every_answer_names_its_version_pages_do_not() -> None:
    for path in ("/partners/nothing", "/nothing", "/health/live", "/openapi.json", "/partners/loan/%00", STATS):
        assert call(path=path)["API-Version"] == "2026-01-05", path
    for path in ("/docs", "/console/login/"):
        assert "API-Version" not in call(path=path), path
    assert (
        call(path="/health/live", version="2025-01-01").status_code == 200
    )  # who looks whether we live may say what it likes


def test_a_partner_stays_with_its_version_until_it_asks_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    partner, key = partner_with_key()
    monkeypatch.setattr(api_versions, "VERSIONS", (OLD, NEW))
    _, newcomers_key = partner_with_key()

    assert call(key)["API-Version"] == "2026-01-05"
    assert call(newcomers_key)["API-Version"] == "2027-03-01"
    assert call(key, version="2027-03-01")["API-Version"] == "2027-03-01"
    assert call(newcomers_key, version="2026-01-05")["API-Version"] == "2026-01-05"
    refused = call(key, version="2026-05-05")
    assert refused.json()["details"] == {"supported": ["2026-01-05", "2027-03-01"]}
    assert refused["API-Version"] == "2026-01-05"
    assert Partner.objects.get(pk=partner.pk).api_version == "2026-01-05"


def test_whose_version_has_ended_gets_the_oldest_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = partner_with_key()
    monkeypatch.setattr(api_versions, "VERSIONS", (NEW, ApiVersion("2028-01-01")))
    assert (call(key).status_code, call(key)["API-Version"]) == (200, "2027-03-01")
    assert call(key, version="2026-01-05").json()["code"] == "unsupported_api_version"


def test_the_end_of_a_version_is_announced_on_its_answers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = partner_with_key()
    assert not {"Deprecation", "Sunset", "Link"} & set(call(key).headers)
    monkeypatch.setattr(api_versions, "VERSIONS", (ENDING, NEW))
    answer = call(key)
    assert answer["Deprecation"] == "@1798761600"
    assert answer["Sunset"] == "Fri, 31 Dec 2027 23:59:59 GMT"
    assert answer["Link"] == '</docs>; rel="deprecation"; type="text/html"'
    assert not {"Deprecation", "Sunset", "Link"} & set(call(key, version="2027-03-01").headers)


def test_a_partner_is_pinned_to_what_there_is() -> None:
    partner, _ = partner_with_key()
    with pytest.raises(BadRequest) as refused:
        update_partner(partner=partner, actor="test", api_version="2025-01-01")
    assert refused.value.details == {"apiVersion": ["Must be one of 2026-01-05."]}
    assert update_partner(partner=partner, actor="test", api_version="2026-01-05").api_version == "2026-01-05"


def test_partners_from_before_there_were_versions_have_the_first_one() -> None:
    """Whichever is current when the migration runs."""
    from django.db.migrations.loader import MigrationLoader

    added: Any = MigrationLoader(None).get_migration("partners", "0011_api_version").operations[0]
    assert added.field.default == "2026-01-05"
    assert apps.get_model("partners", "Partner")._meta.get_field("api_version").default is api_versions.current
