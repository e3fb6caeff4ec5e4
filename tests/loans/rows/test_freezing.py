"""What a finding freezes: its position with the OAID, counted each time, and nothing beside it."""

from loans.models import OaidCredit
from loans.reconciliation import freezing
from loans.reconciliation.findings import BooksFinding
from tests.support.books_rows import BooksRows, changed_by, told


def test_a_position_is_frozen_once_and_its_oaid_counts_each_time(world: BooksRows) -> None:
    position = world.position()
    oaid = OaidCredit.objects.get(oaid_token_id=position.oaid_token_id)
    finding = BooksFinding(f"position:{position.position_id}", "debt", "5", "4")

    changes, _ = changed_by(lambda: freezing.freeze_subject(finding))
    del changes[position.pk]["updated_at"]
    assert changes == {
        position.pk: {"frozen": True, "frozen_reason": str(finding)},
        oaid.pk: {"frozen": True, "version": oaid.version + 1},
    }
    assert {(action, target) for action, target, *_ in told()} == {
        ("oaid.frozen", f"oaid:{position.oaid_token_id}"),
        ("position.frozen", f"position:{position.position_id}"),
    }

    changes, made = changed_by(lambda: freezing.freeze_subject(finding))
    assert changes == {oaid.pk: {"version": oaid.version + 2}}
    assert made == []


def test_an_oaid_alone_is_frozen_without_its_position(world: BooksRows) -> None:
    position = world.position()
    oaid = OaidCredit.objects.get(oaid_token_id=position.oaid_token_id)
    changes, _ = changed_by(
        lambda: freezing.freeze_subject(BooksFinding(f"oaid:{oaid.oaid_token_id}", "reserved", "5", "4"))
    )
    assert changes == {oaid.pk: {"frozen": True, "version": oaid.version + 1}}
