"""The trail in the console: what changed, value by value, and whether the entry is still what was written."""

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.test import Client

from audit.differences import Difference, differences
from audit.models import AuditEntry
from audit.services import record_change
from audit.trail import sealing
from audit.trail.inspection import inspect_trail
from tests.support.acting import staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.partners.urls")]


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann", "ann@platform.example", "a long password indeed"))
    return client


def an_entry() -> AuditEntry:
    return record_change(
        actor=staff("ann"),
        action="partner.updated",
        target="partner:p1",
        before={"limit": "100", "name": "<b>A</b>"},
        after={"limit": "200", "name": "<b>A</b>"},
    )


def page(console: Client, entry: AuditEntry) -> str:
    return console.get(f"/console/audit/auditentry/{entry.pk}/change/").content.decode()


def test_an_entry_shows_its_change_and_that_it_is_unaltered(console: Client) -> None:
    entry = an_entry()
    assert "it waits for its seal" in page(console, entry)
    sealing.seal_due()
    told = page(console, entry)
    assert "<td>limit</td><td><del>100</del></td><td><ins>200</ins></td>" in told
    assert "&lt;b&gt;A&lt;/b&gt;" in told
    assert "Sealed as entry 1 in block 1, and unaltered." in told


def test_an_entry_that_was_altered_says_so(console: Client) -> None:
    entry = an_entry()
    sealing.seal_due()
    QuerySet(AuditEntry).filter(pk=entry.pk).update(actor=staff("innocent"))
    assert "ALTERED" in page(console, entry)


def test_an_entry_that_no_block_holds_is_forged() -> None:
    sealed, other = an_entry(), an_entry()
    QuerySet(AuditEntry).filter(pk=other.pk).update(block=1)
    sealing.seal_due()
    assert inspect_trail(sealed).is_intact is True
    assert inspect_trail(other).text == "FORGED: block 1 does not hold it."
    QuerySet(AuditEntry).filter(pk=other.pk).update(block=9)
    assert inspect_trail(other).text == "FORGED: there is no block 9."


def test_the_lists_open_and_nothing_can_be_changed(console: Client) -> None:
    entry = an_entry()
    sealing.seal_due()
    for model in ("auditentry", "auditblock", "apilogarchive", "apilog"):
        assert console.get(f"/console/audit/{model}/").status_code == 200
        assert console.get(f"/console/audit/{model}/add/").status_code == 403
    assert console.post(f"/console/audit/auditentry/{entry.pk}/change/", {"actor": "x"}).status_code == 403
    assert console.post(f"/console/audit/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert AuditEntry.objects.exclude(action="staff.refused").get().actor == "staff:ann"
    assert AuditEntry.objects.filter(action="staff.refused").count() == 6


def test_differences_name_every_value_by_its_path() -> None:
    assert differences({"a": 1, "b": {"c": [True, None]}}, {"b": {"c": [False, None]}, "d": {}}) == [
        Difference("a", "1", None),
        Difference("b.c.0", "true", "false"),
        Difference("b.c.1", "null", "null"),
        Difference("d", None, "{}"),
    ]
    assert differences(None, {"a": ""}) == [Difference("a", None, "")]
    assert differences(None, None) == []
