"""What a carrier would do now: one `eth_call` per carrier, all of them in one post."""

from dataclasses import dataclass

from django.conf import settings

from chain.clients import ChainUnavailable, RpcError
from chain.encoding import (
    Call,
    Outcome,
    OutcomeStatus,
    Undecodable,
    decode_outcomes,
    describe_revert,
    encode_execute,
)
from chain.engine import Engine
from chain.models import Operation


@dataclass(frozen=True)
class Simulation:
    """A carrier's calldata and what it would do: outcomes in order, or the reason for which it reverts as a whole."""

    operations: list[Operation]  # of one executor
    data: str
    outcomes: list[Outcome]
    whole_failure: str = ""
    short_of_gas: bool = False

    @property
    def executor(self) -> str:
        """Whom the carrier calls: the executor its operations were made for."""
        return self.operations[0].executor

    @property
    def says_no(self) -> bool:
        """True where something in it would fail, or all of it."""
        return bool(self.whole_failure) or any(outcome.status == OutcomeStatus.FAILED for outcome in self.outcomes)


def carrier_data(operations: list[Operation]) -> str:
    """The calldata of a carrier of these operations, in this order."""
    return encode_execute(
        (operation.uid, [Call.from_json(call) for call in operation.calls]) for operation in operations
    )


def simulate(engine: Engine, groups: list[list[Operation]]) -> list[Simulation]:
    """Simulate each group as a carrier on the newest block, in one post; where one says no, once more, in another.

    A refusal is final for its owner, so a single answer is not enough: a node that changes blocks at that moment was
    seen to run a call on the new block's state at the old block's time, which fails in the pool's arithmetic.
    Raises `ChainUnavailable` where the node that answered lags behind a block this driver has seen: a refusal for want
    of what that block brought would be wrong.
    """
    first = _simulate_once(engine, groups)
    doubtful = [simulation.operations for simulation in first if simulation.says_no]
    if not doubtful:
        return first
    second = iter(_simulate_once(engine, doubtful))
    return [next(second) if simulation.says_no else simulation for simulation in first]


def _simulate_once(engine: Engine, groups: list[list[Operation]]) -> list[Simulation]:
    carriers = [carrier_data(group) for group in groups]
    calls = [
        ("eth_call", [_transaction(engine, group[0].executor, data), "latest"])
        for group, data in zip(groups, carriers, strict=True)
    ]
    number, *answers = engine.client.batch([("eth_blockNumber", []), *calls])
    if isinstance(number, RpcError) or int(number, 16) < engine.require_head().number:
        raise ChainUnavailable("The node lags behind")
    return [_read(group, data, answer) for group, data, answer in zip(groups, carriers, answers, strict=True)]


def _transaction(engine: Engine, executor: str, data: str) -> dict[str, str]:
    return {
        "from": engine.wallet.address,
        "to": executor,
        "data": data,
        "gas": hex(settings.CHAIN_CARRIER_GAS_LIMIT),
    }


def _read(operations: list[Operation], data: str, answer: object) -> Simulation:
    if isinstance(answer, RpcError):
        return _whole_failure(operations, data, answer)
    if answer in (None, "0x"):
        return Simulation(operations, data, [], _no_executor(operations[0].executor))
    return Simulation(operations, data, _outcomes(str(answer), len(operations)))


def _no_executor(address: str) -> str:
    if not address:
        return "there is no executor: PLATFORM_EXECUTOR_ADDRESS was not set when this was accepted"
    return f"there is no executor at {address}"


def _outcomes(answer: str, count: int) -> list[Outcome]:
    """What would become of each operation; an answer that is not an executor's says nothing of any of them."""
    try:
        outcomes = decode_outcomes(answer)
    except Undecodable as error:
        raise ChainUnavailable(f"The answer to a simulation is no executor's: {error}") from error
    if len(outcomes) != count:
        raise ChainUnavailable(f"A simulation of {count} operations told of {len(outcomes)}")
    return outcomes


def _whole_failure(operations: list[Operation], data: str, error: RpcError) -> Simulation:
    """Only a revert is a verdict on the carrier; a node that could not simulate says nothing about it."""
    revert = _revert_data(error)
    if revert is None and "revert" not in error.message.lower() and "out of gas" not in error.message.lower():
        raise ChainUnavailable(f"The node could not simulate: {error.message[:100]}") from error
    reason = describe_revert(revert) if revert else error.message
    short_of_gas = "CarrierOutOfGas" in reason or "out of gas" in reason.lower() or "outofgas" in reason.lower()
    return Simulation(operations, data, [], reason, short_of_gas)


def _revert_data(error: RpcError) -> str | None:
    data = error.data.get("data") if isinstance(error.data, dict) else error.data
    return data if isinstance(data, str) and data.startswith("0x") and len(data) >= 10 else None
