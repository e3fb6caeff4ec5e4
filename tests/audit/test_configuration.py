"""A setting that changed between two starts is in the trail, once; secrets never are."""

from typing import Any

import pytest

from audit import configuration
from audit.models import AuditEntry
from audit.tasks import note_settings

pytestmark = pytest.mark.django_db


def test_the_first_start_records_every_setting_and_the_next_one_what_changed(settings: Any) -> None:
    settings.CHAIN_CONFIRMATIONS = 1
    note_settings()
    first = AuditEntry.objects.count()
    assert first > 10
    assert configuration.record_changed_settings() == []
    settings.CHAIN_CONFIRMATIONS = 3
    assert configuration.record_changed_settings() == ["CHAIN_CONFIRMATIONS"]
    assert AuditEntry.objects.count() == first + 1
    entry = AuditEntry.objects.filter(target="setting:CHAIN_CONFIRMATIONS").order_by("-timestamp").first()
    assert (entry.action, entry.before, entry.after) == ("setting.changed", {"value": 1}, {"value": 3})


def test_no_watched_setting_is_a_secret() -> None:
    assert not [name for name in configuration.WATCHED if "KEY" in name or "SECRET" in name or "URL" in name]
