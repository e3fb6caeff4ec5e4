"""The examples of events in the schema are events that the platform could tell: each holds to the contract."""

import json
from typing import Any

import pytest
from django.conf import settings

from events.kinds import EventType

SCHEMA = json.loads((settings.BASE_DIR / "docs" / "openapi.json").read_text())
HASHES = ("borrowTxHash", "borrowEvidence", "repayTxHash", "evidence")


def example(kind: str) -> dict[str, Any]:
    (content,) = SCHEMA["webhooks"][kind]["post"]["requestBody"]["content"].values()
    found: dict[str, Any] = content["examples"][kind]["value"]
    return found


EXAMPLES = {kind: example(kind) for kind in EventType.values}
OF_A_LOAN = {kind: event for kind, event in EXAMPLES.items() if "loan" in event["data"]}
OF_A_REPAYMENT = {kind: event for kind, event in OF_A_LOAN.items() if "repayment" in event["data"]}


def loan(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = EXAMPLES[kind]["data"]["loan"]
    return found


def test_which_events_are_of_a_loan_and_of_a_repayment() -> None:
    assert set(OF_A_LOAN) == {kind for kind in EXAMPLES if kind.startswith(("loan.", "repayment.", "payment."))}
    assert set(OF_A_REPAYMENT) == {"loan.repayment", "loan.repaid", "repayment.failed", "loan.undone"}


@pytest.mark.parametrize("kind", OF_A_LOAN)
def test_an_event_says_once_which_loan_it_is_about_and_what_is_repaid_of_it(kind: str) -> None:
    event = EXAMPLES[kind]
    named = {name: event[name] for name in ("partnerLoanId", "internalLoanId", "totalRepaid")}
    assert named == {name: loan(kind)[name] for name in named}


@pytest.mark.parametrize("kind", OF_A_LOAN)
def test_an_event_is_recorded_when_it_happened_or_later_and_what_it_tells_of_was_before(kind: str) -> None:
    event, told = EXAMPLES[kind], loan(kind)
    assert event["createdAt"] >= event["timestamp"]
    moments = [told["borrowedAt"], told["defaultedAt"], *(row["timestamp"] for row in told["repaymentHistory"])]
    assert all(moment <= event["timestamp"] for moment in moments if moment is not None)


def test_the_events_of_a_loan_are_counted_from_its_first() -> None:
    assert {kind: event["sequence"] for kind, event in OF_A_LOAN.items()} == {
        "loan.borrowed": 1,
        "loan.failed": 1,
        "loan.repayment": 2,
        "loan.repaid": 3,
        "loan.undone": 4,  # of the `loan.repayment`
        "repayment.failed": 2,
        "loan.defaulted": 2,
        "loan.cured": 3,
        "loan.liquidated": 3,  # after the `loan.repayment` of what was recovered
        "payment.due_soon": 2,
        "payment.missed": 3,
    }


@pytest.mark.parametrize("kind", OF_A_LOAN)
def test_the_loan_is_one_of_its_status(kind: str) -> None:
    told, paid = loan(kind), sum(int(row["amount"]) for row in loan(kind)["repaymentHistory"])
    assert told["totalRepaid"] == str(paid)
    lost = int(told["principalAmount"]) - paid if told["status"] in ("LIQUIDATED", "FAILED") else 0
    assert int(told["outstandingPrincipal"]) == int(told["principalAmount"]) - paid - lost
    assert told["remainingDebt"] == told["outstandingPrincipal"]
    assert int(told["writtenOff"]) == (lost if told["status"] == "LIQUIDATED" else 0)
    assert (told["repayTxHash"] is not None) == bool(paid)
    assert (told["failureReason"] is not None) == (told["status"] == "FAILED")
    assert [told[name] is not None for name in ("defaultedAt", "defaultReason")] == [told["status"] == "DEFAULTED"] * 2
    assert (told["borrowTxHash"] is not None) == (told["status"] != "FAILED")


def test_a_loan_that_failed_has_nothing_on_the_chain() -> None:
    told = loan("loan.failed")
    assert (told["status"], told["totalRepaid"], told["repaymentHistory"]) == ("FAILED", "0", [])
    assert (told["borrowedAt"], [told[name] for name in HASHES]) == (None, [None] * 4)


@pytest.mark.parametrize("kind", OF_A_REPAYMENT)
def test_the_repayment_is_one_of_its_status(kind: str) -> None:
    event, told = EXAMPLES[kind], EXAMPLES[kind]["data"]["repayment"]
    assert (told["loanStatus"], told["partnerLoanId"]) == (loan(kind)["status"], event["partnerLoanId"])
    assert told["createdAt"] <= event["timestamp"]
    assert (told["evidence"] or {}).get("txHash") == told["txHash"]
    assert (told["status"] == "PENDING") == loan(kind)["repaymentInFlight"]
    assert (told["finishedAt"] is None) == (told["status"] == "PENDING")
    settled = told["status"] == "SUCCESS"
    assert settled == (kind in ("loan.repayment", "loan.repaid"))
    assert [told[name] is not None for name in ("settledAt", "txHash", "evidence")] == [settled] * 3
    assert [told[name] is not None for name in ("failureCode", "failureReason")] == [told["status"] == "FAILED"] * 2
    if settled:
        assert told["finishedAt"] >= told["settledAt"] >= told["createdAt"]
        assert told["evidence"] == loan(kind)["evidence"]
        assert (told["settledAt"], told["txHash"]) == (
            loan(kind)["repaymentHistory"][-1]["timestamp"],
            loan(kind)["repayTxHash"],
        )


@pytest.mark.parametrize("kind", ["payment.due_soon", "payment.missed"])
def test_the_installment_is_one_of_the_loans_schedule(kind: str) -> None:
    installment = EXAMPLES[kind]["data"]["installment"]
    schedule = loan(kind)["schedule"]
    assert installment in schedule
    assert sum(int(row["amount"]) for row in schedule) == int(loan(kind)["principalAmount"])
    is_past = EXAMPLES[kind]["timestamp"] > installment["dueAt"]
    assert (is_past, installment["status"]) == ((True, "MISSED") if kind == "payment.missed" else (False, "DUE"))


def test_the_feed_tells_of_the_fields_that_only_events_of_loans_have() -> None:
    feed = SCHEMA["components"]["schemas"]["FeedEvent"]
    assert {"internalLoanId", "totalRepaid", "timestamp"} <= set(feed["properties"])
    assert not {"internalLoanId", "totalRepaid", "timestamp"} & set(feed["required"])
