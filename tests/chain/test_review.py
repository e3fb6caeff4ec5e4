"""What an endpoint shows of an operation in review; a decision is refused where anything moved since it was shown."""

from types import SimpleNamespace
from typing import Any

import pytest

from chain.models import ChainTransaction, Operation, PlatformWallet
from chain.operators import review
from chain.operators.review import DecisionRefused
from chain.rpc.clients import ChainUnavailable, RpcError
from tests.factories import OperationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def evidence() -> Any:
    """An operation for review, with the transaction that it had, and one attempt of that."""
    wallet = PlatformWallet.objects.create(address="0x" + "a1" * 20, chain_id=5003, fee_cap_wei=1)
    transaction = ChainTransaction.objects.create(wallet=wallet, nonce=0, gas_limit=1, state="NEEDS_REVIEW")
    attempt(transaction, "0x01")
    operation = OperationFactory.create(
        key="a",
        uid="a",
        chain_id=5003,
        state="NEEDS_REVIEW",
        reason="nonce 0 was spent",
        transaction=transaction,
        tx_hash="0x01",
        block_hash="0x0b",
    )
    return SimpleNamespace(operation=operation, transaction=transaction, attempts=list(transaction.attempts.all()))


def attempt(transaction: ChainTransaction, tx_hash: str) -> None:
    transaction.attempts.create(raw="0x", tx_hash=tx_hash, max_fee_per_gas_wei=1, max_priority_fee_per_gas_wei=1)


def test_what_stands_as_it_was_shown_is_decided(evidence: Any) -> None:
    review._require_unmoved(evidence)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "QUEUED"},
        {"transaction": None},
        {"reason": "something else"},
        {"tx_hash": "0x02"},
        {"block_hash": "0x0c"},
    ],
)
def test_an_operation_that_moved_is_not(evidence: Any, change: dict[str, Any]) -> None:
    Operation.objects.filter(pk=evidence.operation.pk).update(**change)
    with pytest.raises(DecisionRefused, match="it moved while it was looked at"):
        review._require_unmoved(evidence)


@pytest.mark.parametrize("change", [{"state": "CANCELLED"}, {"block_hash": "0x0c"}])
def test_nor_is_one_whose_transaction_moved(evidence: Any, change: dict[str, Any]) -> None:
    ChainTransaction.objects.filter(pk=evidence.transaction.pk).update(**change)
    with pytest.raises(DecisionRefused, match="it moved while it was looked at"):
        review._require_unmoved(evidence)


def test_nor_is_one_whose_transaction_has_one_attempt_more(evidence: Any) -> None:
    attempt(evidence.transaction, "0x02")
    with pytest.raises(DecisionRefused, match="it moved while it was looked at"):
        review._require_unmoved(evidence)


YES, NO, REFUSED = "0x" + "0" * 63 + "1", "0x" + "0" * 64, RpcError(-32000, "no state")


@pytest.mark.parametrize(
    ("results", "seen"),
    [
        ([YES, NO, "0x5", {"hash": "0x01"}, None, REFUSED], (True, False, 5, (True, False, False))),
        (["0x", YES, REFUSED], (False, True, 0, ())),
    ],
)
def test_what_an_endpoint_shows_of_an_operation(results: list[Any], seen: tuple[Any, ...]) -> None:
    shown = review._seen_by(results)
    assert (shown.executed_latest, shown.executed_finalized, shown.finalized_nonce, shown.known) == seen


@pytest.mark.parametrize("results", [[REFUSED, NO, "0x5"], [NO, REFUSED, "0x5"], [REFUSED, REFUSED, "0x5"]])
def test_an_endpoint_that_does_not_tell_whether_it_was_executed_leaves_all_open(results: list[Any]) -> None:
    with pytest.raises(ChainUnavailable, match="does not tell whether the executor ran it"):
        review._seen_by(results)
