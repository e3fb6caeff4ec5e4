"""Default and cure on rows: by staff and by due dates, against whoever writes at the same moment."""

import datetime as dt
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from loans.debt import schedules
from loans.models import PartnerLoan
from loans.services import lifecycle
from loans.services.lifecycle import cure, mark_defaulted, mark_overdue, overdue_loans_query
from loans.states import require_transition
from partner_platform.core.errors import BadRequest
from tests.loans.rows.conftest import NOW
from tests.support.acting import staff
from tests.support.books_rows import BooksRows, changed_by, everything, told

DAY = dt.timedelta(days=1)
GRACE = 7 * DAY
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _grace(settings: Settings) -> None:
    settings.LOAN_DEFAULT_GRACE_SECONDS = int(GRACE.total_seconds())


def schedule(due: dt.datetime, *statuses: str) -> list[dict[str, Any]]:
    """Instalments of 300, the first due then and the others a day after each other."""
    return [
        {
            "number": number,
            "dueAt": (due + (number - 1) * DAY).isoformat().replace("+00:00", "Z"),
            "amount": "300",
            "status": status,
        }
        for number, status in enumerate(statuses, 1)
    ]


def due_loan(world: BooksRows, due: dt.datetime, *statuses: str, **fields: Any) -> PartnerLoan:
    values = {"schedule": schedule(due, *statuses), "next_due_at": due}
    return world.loan(world.partner(), world.position(), 900, **{**values, **fields})


def statuses(changes: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in changes["schedule"]]


def test_a_missed_instalment_is_marked_and_told_once(world: BooksRows) -> None:
    loan = due_loan(world, NOW, "DUE", "DUE", "DUE")

    changes, made = changed_by(lambda: mark_overdue(now=NOW + SECOND))

    assert set(changes) == {loan.pk}
    assert (statuses(changes[loan.pk]), changes[loan.pk]["updated_at"]) == (["MISSED", "DUE", "DUE"], NOW)
    assert set(changes[loan.pk]) == {"schedule", "updated_at"}
    assert made == []
    figures = {"status": "ACTIVE", "outstandingPrincipal": "900"}
    missed = ("loan.installment_missed", f"loan:{loan.internal_loan_id}", figures, {"status": "ACTIVE", "missed": 1})
    assert told() == [missed]
    before = everything()
    assert mark_overdue(now=NOW + 2 * SECOND) == 0
    assert (everything(), told()) == (before, [missed])


@pytest.mark.parametrize(("moment", "defaulted"), [(NOW + GRACE, False), (NOW + GRACE + SECOND, True)])
def test_a_loan_is_in_default_once_the_grace_has_passed(world: BooksRows, moment: dt.datetime, defaulted: bool) -> None:
    loan = due_loan(world, NOW, "MISSED", "MISSED", "MISSED")

    changes, made = changed_by(lambda: mark_overdue(now=moment))

    if not defaulted:
        assert changes == {}
        return
    marked = {"status": "DEFAULTED", "defaulted_at": moment, "default_day": moment.date(), "updated_at": NOW}
    assert changes == {loan.pk: marked}
    assert [(row["day"], row["defaulted_loans"]) for row in made] == [(moment.date(), 1)]
    figures = {"status": "ACTIVE", "outstandingPrincipal": "900"}
    after = {"status": "DEFAULTED", "missed": 3}
    assert told() == [("loan.defaulted", f"loan:{loan.internal_loan_id}", figures, after)]


@pytest.mark.parametrize("later", [dt.timedelta(0), -SECOND])
def test_what_is_due_now_or_later_is_not_overdue(world: BooksRows, later: dt.timedelta) -> None:
    due_loan(world, NOW, "DUE", "DUE", "DUE")
    before = everything()
    assert mark_overdue(now=NOW + later) == 0
    assert everything() == before


def test_the_longest_overdue_comes_first_and_only_active_loans_do(world: BooksRows) -> None:
    second, first = (due_loan(world, NOW - days * DAY, "DUE", "DUE", "DUE") for days in (1, 2))
    for status in ("PENDING", "DEFAULTED", "REPAID", "FAILED", "LIQUIDATED"):
        due_loan(world, NOW - 3 * DAY, "DUE", "DUE", "DUE", status=status)
    assert list(overdue_loans_query(NOW).values_list("pk", flat=True)) == [first.pk, second.pk]
    assert mark_overdue(now=NOW) == 2


@pytest.mark.parametrize(
    ("outstanding", "written_off", "expected"),
    [
        (600, 0, ["PAID", "MISSED", "DUE"]),
        (601, 0, ["MISSED", "MISSED", "DUE"]),
        (300, 300, ["PAID", "MISSED", "DUE"]),  # what was lost was not repaid
        (0, 300, ["PAID", "PAID", "DUE"]),
    ],
)
def test_an_instalment_is_paid_by_principal_that_came_back(
    world: BooksRows, outstanding: int, written_off: int, expected: list[str]
) -> None:
    loan = due_loan(
        world,
        NOW - DAY - SECOND,
        "DUE",
        "DUE",
        "DUE",
        outstanding_principal=outstanding,
        written_off_principal=written_off,
    )
    changes, _ = changed_by(lambda: mark_overdue(now=NOW))
    assert statuses(changes[loan.pk]) == expected
    paid = expected.count("PAID")
    assert PartnerLoan.objects.get(pk=loan.pk).next_due_at == NOW - DAY - SECOND + paid * DAY


@pytest.mark.parametrize(
    "changed", [{"status": "DEFAULTED"}, {"next_due_at": NOW + DAY}, {"next_due_at": None}, {"status": "REPAID"}]
)
def test_a_loan_that_is_not_overdue_any_more_when_its_turn_comes_is_left_alone(
    world: BooksRows, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = due_loan(world, NOW - DAY, "DUE", "DUE", "DUE")
    query = lifecycle.overdue_loans_query

    def overtaken(now: dt.datetime) -> Any:
        found = list(query(now).values_list("pk", flat=True))
        PartnerLoan.objects.filter(pk=loan.pk).update(**changed)
        return PartnerLoan.objects.filter(pk__in=found)

    monkeypatch.setattr(lifecycle, "overdue_loans_query", overtaken)
    assert mark_overdue(now=NOW) == 0
    assert {entry["status"] for entry in PartnerLoan.objects.get(pk=loan.pk).schedule} == {"DUE"}
    assert told() == []


@pytest.mark.parametrize("changed", [{"status": "REPAID"}, {"total_repaid": 1}])
def test_a_payment_at_the_same_moment_goes_first(
    world: BooksRows, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = due_loan(world, NOW - DAY, "DUE", "DUE", "DUE")
    mark = schedules.mark_schedule

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        PartnerLoan.objects.filter(pk=loan.pk).update(**changed)
        return mark(*args, **kwargs)

    monkeypatch.setattr(schedules, "mark_schedule", overtaken)
    assert mark_overdue(now=NOW) == 0
    assert {entry["status"] for entry in PartnerLoan.objects.get(pk=loan.pk).schedule} == {"DUE"}
    assert told() == []


def test_staff_marks_a_default_and_cures_it(world: BooksRows) -> None:
    loan = world.loan(world.partner(), world.position(), 900)
    reason = "z" * 299 + "xy"

    changes, made = changed_by(lambda: mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason=f"  {reason} "))

    kept, of_default = "z" * 299 + "x", {"defaulted_at": NOW, "default_day": NOW.date()}
    assert changes == {loan.pk: {"status": "DEFAULTED", **of_default, "default_reason": kept, "updated_at": NOW}}
    assert [(row["day"], row["defaulted_loans"]) for row in made] == [(NOW.date(), 1)]
    changes, _ = changed_by(lambda: cure(loan_id=loan.pk, actor=staff("bob"), reason=reason))
    assert changes == {loan.pk: {"status": "ACTIVE", "defaulted_at": None, "default_reason": ""}}
    figures = [{"status": status, "outstandingPrincipal": "900"} for status in ("ACTIVE", "DEFAULTED")]
    target = f"loan:{loan.internal_loan_id}"
    assert sorted(told(), reverse=True) == [
        ("loan.defaulted", target, figures[0], {"status": "DEFAULTED", "reason": kept}),
        ("loan.cured", target, figures[1], {"status": "ACTIVE", "reason": kept}),
    ]


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_default_needs_a_reason(world: BooksRows, reason: str) -> None:
    loan = world.loan(world.partner(), world.position(), 900)
    with pytest.raises(BadRequest) as refused:
        mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason=reason)
    assert refused.value.details == {"reason": ["Required."]}
    assert PartnerLoan.objects.get(pk=loan.pk).status == "ACTIVE"


@pytest.mark.parametrize("status", ["PENDING", "DEFAULTED", "REPAID", "FAILED", "LIQUIDATED"])
def test_only_an_active_loan_can_be_marked(world: BooksRows, status: str) -> None:
    loan = world.loan(world.partner(), world.position(), 900, status)
    before = everything()
    with pytest.raises(BadRequest, match=f"Loan is {status.lower()} and cannot become defaulted") as refused:
        mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason="late")
    assert refused.value.details == {"status": status}
    assert (everything(), told()) == (before, [])


def test_a_loan_that_changed_at_the_same_moment_is_not_marked(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = world.loan(world.partner(), world.position(), 900)

    def overtaken(current: str, new: str) -> None:
        require_transition(current, new)
        PartnerLoan.objects.filter(pk=loan.pk).update(status="REPAID")

    monkeypatch.setattr(lifecycle, "require_transition", overtaken)
    with pytest.raises(BadRequest, match="Loan changed meanwhile") as refused:
        mark_defaulted(loan_id=loan.pk, actor=staff("ann"), reason="late")
    assert refused.value.retry_after == 1
    assert told() == []
