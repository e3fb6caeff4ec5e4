"""Deploying on a chain that answers as a test wants: what is sent, how long it is waited for, what is a failure."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.core.management import CommandError
from eth_account import Account

from chain.lending import deployment
from chain.lending.deployment import DeploymentFailed, contract_address, ensure_gas_money, send
from chain.lending.encoding import Call
from chain.rpc.clients import ChainUnavailable, RpcError
from tests.support.commands import type_command

KEY = "0x" + "11" * 32
TO = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a1"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeChain:
    """Mines what is sent after so many looks; `status` is what becomes of each."""

    def __init__(self, *, looks: int = 0, status: str = "0x1", refuses: str = "") -> None:
        self.looks, self.status, self.refuses = looks, status, refuses
        self.raws: list[str] = []
        self.batches: list[list[tuple[str, Sequence[Any]]]] = []
        self.calls: list[tuple[str, Sequence[Any]]] = []
        self.balance = 0

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        self.calls.append((method, params))
        return {
            "eth_getTransactionCount": "0x7",
            "eth_chainId": "0x138b",
            "eth_getBlockByNumber": {"baseFeePerGas": "0x64"},
            "eth_maxPriorityFeePerGas": "0x3",
            "eth_getBalance": hex(self.balance),
            "anvil_setBalance": None,
        }[method]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        self.batches.append(list(calls))
        method = calls[0][0]
        if method == "eth_sendRawTransaction":
            self.raws += [params[0] for name, params in calls if name == method]
            return [RpcError(-32000, self.refuses) if self.refuses else f"0x{place}" for place in range(len(calls))]
        self.looks -= 1
        receipt = {"status": self.status, "transactionHash": "0xab"}
        return [receipt if self.looks < 0 else None for _ in calls]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deployment, "time", clock)
    return clock


def sent(chain: FakeChain) -> list[dict[str, Any]]:
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    return [TypedTransaction.from_bytes(HexBytes(raw)).as_dict() for raw in chain.raws]


def test_calls_are_signed_with_nonces_in_a_row_one_gas_limit_and_room_for_a_dearer_block(clock: Clock) -> None:
    chain = FakeChain()
    receipts = send(client=chain, key=KEY, calls=[Call(TO, 5, "0x12"), Call(TO, 0, "0x")])
    assert len(receipts) == 2
    first, second = sent(chain)
    assert (first["nonce"], second["nonce"], first["value"], second["value"]) == (7, 8, 5, 0)
    for one in (first, second):
        assert (one["chainId"], one["gas"]) == (5003, deployment.GAS_LIMIT)
        assert (one["maxFeePerGas"], one["maxPriorityFeePerGas"]) == (203, 3)
    assert chain.calls[0] == ("eth_getTransactionCount", [Account.from_key(KEY).address, "pending"])
    assert clock.now == 1_000.0


def test_a_refusal_is_a_failure_at_once(clock: Clock) -> None:
    with pytest.raises(DeploymentFailed, match="refused: nonce too low"):
        send(client=FakeChain(refuses="nonce too low"), key=KEY, calls=[Call(TO, 0, "0x")])


def test_a_revert_is_a_failure_that_names_the_transaction(clock: Clock) -> None:
    with pytest.raises(DeploymentFailed, match="transaction 1 of 2 reverted: 0xab"):
        send(client=FakeChain(status="0x0"), key=KEY, calls=[Call(TO, 0, "0x")] * 2)


def test_what_is_stuck_is_sent_again_every_five_seconds_and_given_up_after_a_minute(clock: Clock) -> None:
    chain = FakeChain(looks=10**6)
    with pytest.raises(DeploymentFailed, match=r"2 of 2 transactions are not mined after 60\.0 s"):
        send(client=chain, key=KEY, calls=[Call(TO, 0, "0x"), Call(TO, 1, "0x")])
    assert clock.now == pytest.approx(1_060.0, abs=0.2)
    again = [calls for calls in chain.batches if calls[-1] == ("anvil_mine", [])]
    assert 11 <= len(again) <= 12
    assert [name for name, _ in again[0]] == ["eth_sendRawTransaction"] * 2 + ["anvil_mine"]
    assert [params[0] for _, params in again[0][:2]] == chain.raws[:2]


def test_what_is_mined_soon_is_not_sent_again(clock: Clock) -> None:
    chain = FakeChain(looks=50)
    send(client=chain, key=KEY, calls=[Call(TO, 0, "0x")])
    assert len(chain.raws) == 1
    assert clock.now == pytest.approx(1_002.5)


@pytest.mark.parametrize(("balance", "given"), [(10**18, False), (10**18 - 1, True), (0, True)])
def test_gas_money_is_given_to_who_has_less_than_one_ether(balance: int, given: bool) -> None:
    chain = FakeChain()
    chain.balance = balance
    ensure_gas_money(client=chain, address=TO, wei=7)
    assert (chain.calls[-1] == ("anvil_setBalance", [TO, "0x7"])) is given
    ensure_gas_money(client=chain, address=TO)
    assert (chain.calls[-1] == ("anvil_setBalance", [TO, hex(100 * 10**18)])) is given


def test_where_a_contract_lands() -> None:
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert contract_address(sender, 0) == "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d"
    assert contract_address(sender, 1) == "0x343c43A37D37dfF08AE8C4A11544c718AbB4fCF8"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error",
    [ChainUnavailable("nobody answers"), RpcError(-32000, "no gas money"), DeploymentFailed("it reverted")],
    ids=lambda error: type(error).__name__,
)
def test_an_anchor_that_cannot_be_deployed_is_said_by_the_command(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: Any) -> str:
        raise error

    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", KEY)
    monkeypatch.setattr(deployment, "deploy_audit_anchor", fail)
    with pytest.raises(CommandError, match=str(error).partition(" (")[0]):
        type_command("deploy_audit_anchor")
