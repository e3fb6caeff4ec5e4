"""The lending system on real contracts: readings of one block at one post, operations whose effect their logs prove."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import cache
from pytest_django import Settings

from chain.lending import operations, readings
from chain.lending.encoding import Call, encode_call, uid_of
from chain.models import Operation
from chain.rpc import reading
from chain.rpc.clients import ChainClient, ChainUnavailable
from tests.contracts.lab import CREDIT, USDC, Borrower, Lab


class CountingClient(ChainClient):
    """A client that counts what it posts."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(urls=[lab.url], chain_id=5003, timeout=10.0)
        self.posts: list[list[str]] = []
        self._lock = threading.Lock()

    def batch(self, calls: Any) -> list[Any]:
        with self._lock:
            self.posts.append([method for method, _ in calls])
        return super().batch(calls)


@pytest.fixture
def client(lab: Lab, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CountingClient:
    settings.OAID_ADDRESS, settings.SOLVENCY_VAULT_ADDRESS = lab.oaid, lab.vault
    settings.SENIOR_POOL_ADDRESS = lab.pool
    settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS = lab.usdc, lab.executor
    counting = CountingClient(lab)
    for module in (readings, reading):
        monkeypatch.setattr(module, "get_client", lambda: counting)
    cache.clear()
    return counting


def test_an_oaid_is_read_with_its_owner_its_line_and_its_position(
    lab: Lab, client: CountingClient, borrower: Borrower
) -> None:
    lab.run(("loan", lab.borrow_calls(borrower.position, 3_000 * USDC)))

    reading = readings.read_oaid(borrower.oaid)

    assert reading == readings.OaidReading(
        oaid_token_id=borrower.oaid,
        owner=borrower.keys.address,
        credit_limit=CREDIT,
        credit_used=3_000 * USDC,
        active=True,
        position_id=borrower.position,
        block_number=lab.client.block_number(),
    )
    assert reading.available == 7_000 * USDC


def test_a_limit_below_what_is_used_leaves_nothing_available(
    lab: Lab, client: CountingClient, borrower: Borrower
) -> None:
    lab.run(("loan", lab.borrow_calls(borrower.position, 80 * USDC)))
    lab.revalue(borrower.position, 100 * USDC)

    reading = readings.read_oaid(borrower.oaid)

    assert reading is not None
    assert (reading.credit_limit, reading.available) == (70 * USDC, 0)


@pytest.mark.parametrize("token_type", ["RWA", "PRIVATE_ASSET"])
def test_a_position_is_read_with_its_debt_and_interest(lab: Lab, client: CountingClient, token_type: str) -> None:
    borrower = lab.borrower(token_type=token_type)
    lab.set_rate(1_000)
    receipt = lab.run(("loan", lab.borrow_calls(borrower.position, 1_000 * USDC)))
    lab.next_block_at(lab.block_time(receipt) + 365 * 86_400)
    lab.client.call("evm_mine")

    reading = readings.read_position(borrower.position)

    assert reading is not None
    assert (reading.user, reading.oaid_token_id, reading.token_type) == (
        borrower.keys.address,
        borrower.oaid,
        token_type,
    )
    assert (reading.usdc_borrowed, reading.active) == (1_100 * USDC, True)
    assert reading.collateral_token == lab.system["collateralToken"]
    assert reading.collateral_amount == reading.collateral_value_usd * 10**12
    assert reading.block_number == lab.client.block_number()


def test_what_does_not_exist_reads_as_none(client: CountingClient) -> None:
    for number in (0, 999, 2**256 - 1):
        assert readings.read_oaid(number) is None
        assert readings.read_position(number) is None


def test_a_hundred_readers_at_once_cost_two_posts(
    client: CountingClient, borrower: Borrower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "HEAD_SECONDS", 60)  # the hundred are of one moment, however slow the machine
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda _: readings.read_oaid(borrower.oaid), range(100)))

    assert len(set(found)) == 1
    assert client.posts == [["eth_getBlockByNumber"], ["eth_call"] * 3]


def test_a_new_block_is_read_anew_once_the_old_one_is_forgotten(
    lab: Lab, client: CountingClient, borrower: Borrower
) -> None:
    readings.read_oaid(borrower.oaid)
    lab.run(("loan", lab.borrow_calls(borrower.position, USDC)))

    readings.forget_block()
    reading = readings.read_oaid(borrower.oaid)

    assert reading is not None
    assert reading.credit_used == USDC


def test_a_replaced_block_of_the_same_number_is_read_anew(lab: Lab, client: CountingClient, borrower: Borrower) -> None:
    snapshot = lab.client.call("evm_snapshot")
    lab.run(("loan", lab.borrow_calls(borrower.position, USDC)))
    with_loan = readings.read_oaid(borrower.oaid)
    lab.client.call("evm_revert", [snapshot])
    lab.client.call("evm_mine")

    readings.forget_block()
    without_loan = readings.read_oaid(borrower.oaid)

    assert with_loan is not None
    assert without_loan is not None
    assert (with_loan.credit_used, without_loan.credit_used) == (USDC, 0)
    assert with_loan.block_number == without_loan.block_number


def test_addresses_without_contracts_are_no_reading(
    lab: Lab, client: CountingClient, borrower: Borrower, settings: Settings
) -> None:
    settings.OAID_ADDRESS = settings.SOLVENCY_VAULT_ADDRESS = lab.treasury
    with pytest.raises(ChainUnavailable):
        readings.read_oaid(borrower.oaid)
    with pytest.raises(ChainUnavailable):
        readings.read_position(borrower.position)


def test_without_redis_reading_goes_on(client: CountingClient, borrower: Borrower, settings: Settings) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"},
    }
    assert readings.read_oaid(borrower.oaid) is not None
    readings.forget_block()


def test_the_executed_uids_are_those_of_the_block_asked_for(
    lab: Lab, client: CountingClient, borrower: Borrower
) -> None:
    before = lab.client.block_number()
    lab.run(("one", lab.borrow_calls(borrower.position, USDC)), ("bad", lab.borrow_calls(999, USDC)))
    operations = [(lab.executor, uid_of(key)) for key in ("one", "bad", "never")]

    assert readings.read_executed(operations, before) == set()
    assert readings.read_executed(operations, before + 1) == {uid_of("one")}
    assert client.posts == [["eth_call"] * 3] * 2


def test_funding_is_balance_and_allowance(lab: Lab, client: CountingClient) -> None:
    lab.fund_usdc(lab.settlement.address, 7)
    lab.approve(lab.settlement, lab.executor, 5)

    assert readings.read_usdc_funding(lab.settlement.address) == (7, 5)


def matches(expected: dict[str, Any], log: dict[str, Any]) -> bool:
    return (
        log["address"] == expected["address"]
        and log["topics"][: len(expected["topics"])] == expected["topics"]
        and expected["data"] in (None, log["data"])
    )


def proof(receipt: dict[str, Any], effect: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The one log that each expected log matches."""
    found = []
    for expected in effect:
        (log,) = (log for log in receipt["logs"] if matches(expected, log))
        found.append(log)
    return found


def test_a_borrow_is_proven_by_its_logs(lab: Lab, client: CountingClient, borrower: Borrower) -> None:
    calls, effect = operations.borrow_operation(borrower.position, 100 * USDC, lab.settlement.address, 99 * USDC)

    receipt = lab.run(("loan", calls))

    assert len(proof(receipt, effect)) == 3
    assert lab.balance(lab.settlement.address) == 99 * USDC
    assert lab.debt(borrower.position) == 100 * USDC


@pytest.mark.parametrize(("close", "amount", "paid"), [(False, 40, 40), (True, 40, 40), (True, 120, 100)])
@pytest.mark.parametrize("pulled", [True, False])
def test_a_repayment_is_proven_by_its_logs_which_tell_what_it_paid(
    lab: Lab, client: CountingClient, borrower: Borrower, close: bool, amount: int, paid: int, pulled: bool
) -> None:
    lab.run(("loan", lab.borrow_calls(borrower.position, 100 * USDC)))
    lab.fund_usdc(lab.settlement.address if pulled else lab.executor, 120 * USDC)
    lab.approve(lab.settlement, lab.executor, 2**255)
    pull_from = lab.settlement.address if pulled else None
    calls, effect = operations.repay_operation(borrower.position, amount * USDC, close, pull_from)

    logs = proof(lab.run(("repay", calls)), effect)

    assert len(logs) == (4 if pulled else 3)
    assert operations.repaid_amount(Operation(executor=lab.executor, outcome_logs=logs)) == paid * USDC
    with pytest.raises(LookupError):  # another executor's word is not this one's
        operations.repaid_amount(Operation(executor=lab.vault, outcome_logs=logs))
    assert lab.debt(borrower.position) == (100 - paid) * USDC


def test_logs_without_one_repayment_tell_no_amount() -> None:
    with pytest.raises(LookupError):
        operations.repaid_amount(Operation(executor="0x" + "11" * 20, outcome_logs=[]))


def test_a_call_survives_being_stored() -> None:
    call = Call("0x" + "11" * 20, 2**100, encode_call("pause()"))
    assert Call.from_json(call.as_json()) == call


def test_an_oaid_and_its_position_are_read_in_one_post_once_the_position_is_known(
    lab: Lab, client: CountingClient, borrower: Borrower
) -> None:
    first = readings.read_backing(borrower.oaid)
    lab.client.call("evm_mine")
    readings.forget_block()
    client.posts.clear()

    second = readings.read_backing(borrower.oaid)

    assert first is not None
    assert second is not None
    assert client.posts == [["eth_getBlockByNumber"], ["eth_call"] * 4]
    assert (second.oaid, second.position) == (
        readings.read_oaid(borrower.oaid),
        readings.read_position(borrower.position),
    )
    assert second.oaid.block_number == first.oaid.block_number + 1
    assert readings.read_backing(999) is None
