"""What an operator is shown: each side's figures, and where the two stand apart."""

import datetime as dt
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.lending.fast_codec import function
from chain.lending.views import View
from chain.models import ChainTransaction, Operation, PlatformWallet, TransactionAttempt
from chain.operators import inspection
from chain.operators.inspection import SHOWN, ChainView, WalletReport, transaction_line
from tests.factories import OperationFactory

ADDRESS, EXECUTOR = "0x" + "a1" * 20, "0x" + "e1" * 20
WALLET = {"address": ADDRESS, "chain_id": 5003, "fee_cap_wei": 1, "next_nonce": 9}


@pytest.fixture(autouse=True)
def _executor(settings: Settings) -> None:
    settings.PLATFORM_EXECUTOR_ADDRESS = EXECUTOR


def view(**fields: Any) -> ChainView:
    values = {
        "head": 77,
        "nonces": {"latest": 9, "pending": 9, "finalized": 8},
        "balance_wei": 1_500_000_000_000_000_000,
        "executor_is_paused": False,
        "is_operator": True,
        "known_hashes": frozenset(),
    }
    return ChainView(**{**values, **fields})


def report(chain: ChainView | None = None, **fields: Any) -> WalletReport:
    wallet = PlatformWallet(**{**WALLET, **fields.pop("wallet", {})})
    values = {"live": [], "states": {}, "in_review": [], "overdue": [], "overdue_count": 0, "reopened": 0}
    return WalletReport(wallet=wallet, chain=chain, **{**values, **fields})


def test_a_quiet_wallet_in_five_lines() -> None:
    assert report(view()).lines() == [
        f"wallet {ADDRESS} on chain 5003: ACTIVE",
        "  database: next nonce 9, driver none",
        "  chain: head 77, nonces used: 9 latest, 9 pending, 8 finalized; gas money 1.500000",
        f"  executor {EXECUTOR}: working, this wallet may send bundles",
        "  operations: none",
    ]


def test_a_wallet_in_trouble_with_all_there_is_to_say() -> None:
    moment = dt.datetime(2026, 1, 5, 12, 30, 1, tzinfo=dt.UTC)
    wallet = {
        "status": "FROZEN",
        "status_reason": "a drill",
        "lease_holder": "host:1",
        "incident": "a reorg undid it",
        "incident_at": moment,
    }
    shown = report(
        view(executor_is_paused=True, is_operator=False),
        wallet=wallet,
        states={"QUEUED": 3, "BUNDLED": 2},
        in_review=[Operation(kind="borrow", key="borrow:1", reason="look")],
        overdue=["borrow:2 QUEUED, the wallet is FROZEN"],
        overdue_count=4,
        warnings=["one", "two"],
    ).lines()
    assert shown == [
        f"wallet {ADDRESS} on chain 5003: FROZEN, because a drill",
        "  database: next nonce 9, driver host:1",
        "  chain: head 77, nonces used: 9 latest, 9 pending, 8 finalized; gas money 1.500000",
        f"  executor {EXECUTOR}: paused, this wallet may not send bundles",
        "  operations: 2 BUNDLED, 3 QUEUED",
        "  to review: borrow borrow:1: look",
        "  open for long: borrow:2 QUEUED, the wallet is FROZEN",
        "  open for long: 3 more",
        "  incident of 2026-01-05 12:30:01 UTC: a reorg undid it",
        "  ! one",
        "  ! two",
    ]


def test_a_wallet_whose_key_was_rotated_away_lists_no_operations() -> None:
    assert report(view(is_operator=False), is_retired=True, wallet={"status": "FROZEN"}).lines() == [
        f"wallet {ADDRESS} on chain 5003: FROZEN",
        "  its key was rotated away: it sends nothing new",
        "  database: next nonce 9, driver none",
        "  chain: head 77, nonces used: 9 latest, 9 pending, 8 finalized; gas money 1.500000",
        f"  executor {EXECUTOR}: working, this wallet may not send bundles",
    ]


def test_a_chain_that_does_not_answer_is_said_with_why() -> None:
    assert "  chain: does not answer (no route)" in report(None, trouble="no route").lines()


@pytest.mark.parametrize("unknown", ["executor_is_paused", "is_operator"])
def test_an_executor_that_does_not_answer_is_said(unknown: str) -> None:
    assert f"  executor {EXECUTOR}: does not answer" in report(view(**{unknown: None})).lines()


def test_of_a_hundred_the_first_twenty_are_shown() -> None:
    many = [Operation(kind="borrow", key=f"borrow:{number}", reason="look") for number in range(100)]
    shown = [line for line in report(view(), in_review=many).lines() if "to review" in line]
    assert len(shown) == SHOWN
    assert shown[-1] == "  to review: borrow borrow:19: look"


@pytest.mark.parametrize(
    ("chain", "fields", "warning"),
    [
        (None, {"wallet": {"scan_pending": True}}, "the database was restored"),
        (None, {"reopened": 2}, "2 operations were undone by a reorg"),
        (view(nonces={"latest": 10}), {}, "the chain used nonces that the database does not know"),
        (view(executor_is_paused=True), {}, "the executor is paused"),
        (view(is_operator=False), {}, "the executor does not know this wallet as an operator"),
        (view(balance_wei=0), {}, "there is no gas money"),
        (
            view(balance_wei=0, is_operator=False),
            {"is_retired": True, "live": [ChainTransaction(state="BROADCAST")]},
            "there is no gas money",
        ),
        (view(), {"live": [ChainTransaction(state="SIGNED")]}, "a stored transaction was not taken by any node yet"),
    ],
)
def test_each_trouble_has_its_warning(chain: ChainView | None, fields: dict[str, Any], warning: str) -> None:
    (found,) = inspection._warnings(report(chain, **fields))
    assert found.startswith(warning)


@pytest.mark.parametrize(
    ("chain", "fields"),
    [
        (None, {}),
        (view(), {}),
        (view(nonces={}), {}),
        (view(nonces={"latest": 9}), {}),
        (view(is_operator=None, executor_is_paused=None, balance_wei=1), {}),
        (view(), {"live": [ChainTransaction(state="BROADCAST"), ChainTransaction(state="MINED")]}),
        (view(is_operator=False, executor_is_paused=True, balance_wei=0), {"is_retired": True}),
    ],
)
def test_a_healthy_wallet_has_none(chain: ChainView | None, fields: dict[str, Any]) -> None:
    assert inspection._warnings(report(chain, **fields)) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("chain", "known"),
    [(None, ""), (view(known_hashes=frozenset({"0x01"})), ", known"), (view(), ", unknown to the chain")],
)
def test_an_attempt_is_shown_with_what_was_said_to_it(chain: ChainView | None, known: str) -> None:
    transaction = ChainTransaction.objects.create(
        wallet=PlatformWallet.objects.create(**WALLET), nonce=4, gas_limit=1, state="BROADCAST"
    )
    fields = {"raw": "0x", "max_fee_per_gas_wei": 1, "max_priority_fee_per_gas_wei": 1, "transaction": transaction}
    TransactionAttempt.objects.create(
        tx_hash="0x01", send_count=2, last_error_class="UNKNOWN", last_error="time-out", **fields
    )
    assert transaction_line(transaction, chain) == (
        f"nonce 4 BROADCAST: PAYLOAD 0x01 sent 2 times{known}, UNKNOWN: time-out"
    )
    TransactionAttempt.objects.all().update(last_error_class="", last_error="")
    TransactionAttempt.objects.create(tx_hash="0x02", kind="NOOP", **fields)
    transaction = ChainTransaction.objects.get()
    assert transaction_line(transaction, None) == (
        "nonce 4 BROADCAST: PAYLOAD 0x01 sent 2 times; NOOP 0x02 sent 0 times"
    )


@pytest.mark.django_db
def test_without_the_chain_what_somebody_was_told_of_is_shown_the_oldest_first(settings: Settings) -> None:
    settings.PLATFORM_PRIVATE_KEY = ""
    wallet = PlatformWallet.objects.create(**WALLET)
    fields = {"chain_id": 5003, "settle_error": "no word"}

    def operation(key: str, state: str, *, told: bool, since: int = 7, acknowledged: bool = False) -> None:
        OperationFactory.create(
            key=key,
            state=state,
            overdue_told=told,
            open_since_block=since,
            acknowledged=acknowledged,
            **fields,
        )

    operation("younger", "CONFIRMED", told=True, since=9)
    operation("older", "CONFIRMED", told=True, since=8)
    operation("untold", "CONFIRMED", told=False)
    operation("done", "CONFIRMED", told=True, acknowledged=True)
    operation("reviewed", "NEEDS_REVIEW", told=True)
    lines, count = inspection._overdue(wallet, None)
    assert [line.partition(",")[0] for line in lines] == ["older CONFIRMED", "younger CONFIRMED"]
    assert count == 2


@pytest.mark.parametrize(
    ("answer", "value"), [("0x" + "0" * 64, False), ("0x" + "0" * 63 + "1", True), ("0x", None), (None, None)]
)
def test_a_yes_or_no_of_a_contract(answer: Any, value: bool | None) -> None:
    paused = View("0x" + "11" * 20, function("PlatformExecutor", "paused"), ())
    assert inspection._as_bool(paused, answer) is value
