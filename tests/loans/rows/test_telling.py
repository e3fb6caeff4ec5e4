"""What a reconciliation says at ERROR: each finding at every run, what is in motion for too long once."""

import pytest

from loans.reconciliation.findings import differs
from loans.reconciliation.run import _log
from loans.reconciliation.sightings import Motion, Sighting


def test_each_finding_is_told_and_of_what_is_in_motion_only_what_is_overdue_and_was_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [finding] = differs("loan:a", "amount", 1, 2)
    motions = [
        Motion("loan:new", 1, overdue=False, reported=False),
        Motion("loan:late", 2, overdue=True, reported=False),
        Motion("loan:known", 3, overdue=True, reported=True),
    ]
    _log([Sighting(finding, 7, is_confirmed=True), Sighting(finding, 8, is_confirmed=False)], motions)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"reconciliation: {finding} (since block 7)"),
        ("ERROR", f"reconciliation: {finding} (seen once)"),
        ("ERROR", "reconciliation: loan:late is in motion since block 2"),
    ]
