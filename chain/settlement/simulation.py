"""What a bundle would do now: one `eth_call` per bundle, all in one post; every endpoint must confirm a failure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from chain import metrics
from chain.lending.bundles import Outcome, OutcomeStatus, decode_outcomes, encode_execute
from chain.lending.encoding import Call
from chain.lending.fast_codec import Undecodable
from chain.lending.revert_data import describe_revert
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement.engine import Engine


@dataclass(frozen=True)
class Simulation:
    """A bundle's calldata and what it would do: outcomes in order, or the reason for which it reverts as a whole."""

    operations: list[Operation]  # of one executor
    data: str
    outcomes: list[Outcome]
    whole_failure: str = ""
    short_of_gas: bool = False
    undecided: tuple[Operation, ...] = ()  # they fail at one endpoint and not at another, or another did not answer
    why_undecided: str = ""

    @property
    def executor(self) -> str:
        """The executor that the bundle calls: the one its operations were made for."""
        return self.operations[0].executor

    @property
    def failing(self) -> tuple[Operation, ...]:
        """The operations that would fail: all of them where the bundle reverts as a whole."""
        if self.whole_failure:
            return tuple(self.operations)
        pairs = zip(self.operations, self.outcomes, strict=True)
        return tuple(operation for operation, outcome in pairs if outcome.status == OutcomeStatus.FAILED)

    @property
    def fails(self) -> bool:
        """True where one of its operations would fail, or the whole bundle."""
        return bool(self.failing)

    @property
    def is_whole_failure(self) -> bool:
        return bool(self.whole_failure)


def bundle_calldata(operations: list[Operation]) -> str:
    """The calldata of a bundle of these operations, in this order."""
    return encode_execute(
        (operation.uid, [Call.from_json(call) for call in operation.calls]) for operation in operations
    )


def simulate_bundles(engine: Engine, groups: list[list[Operation]]) -> list[Simulation]:
    """Simulate each group as a bundle on the newest block, in one post; a failing one once more at every endpoint.

    A refusal is final for its owner, so one answer is not enough: a node that was changing blocks ran a call on the new
    block's state at the old block's time, which fails in the pool's arithmetic; a node that pruned its state does not
    answer. What is not confirmed is `undecided`. Raises `ChainUnavailable` where the node lags behind a block that this
    driver has seen: an operation could fail only for lack of that block.
    """
    bundles = [bundle_calldata(group) for group in groups]
    first = _read_all(engine, groups, bundles, engine.client.batch(_calls(engine, groups, bundles)))
    second = iter(_confirm(engine, [simulation for simulation in first if simulation.fails]))
    return [next(second) if simulation.fails else simulation for simulation in first]


def _confirm(engine: Engine, doubtful: list[Simulation]) -> list[Simulation]:
    """Simulate the same bundles at every endpoint."""
    if not doubtful:
        return []
    groups, bundles = [each.operations for each in doubtful], [each.data for each in doubtful]
    try:
        heard = engine.client.everyone(_calls(engine, groups, bundles))
        first, *others = [_read_all(engine, groups, bundles, results) for results in heard]
    except ChainUnavailable as error:
        return [replace(each, undecided=each.failing, why_undecided=error.message) for each in doubtful]
    return [_agreed(mine, theirs) for mine, *theirs in zip(first, *others, strict=True)]


def _agreed(mine: Simulation, theirs: Sequence[Simulation]) -> Simulation:
    """The first endpoint's result; operations about which another endpoint differs are undecided."""
    if any(
        (other.is_whole_failure, other.short_of_gas) != (mine.is_whole_failure, mine.short_of_gas) for other in theirs
    ):
        differing = tuple(mine.operations)
    else:
        verdicts = zip(*([outcome.status for outcome in each.outcomes] for each in (mine, *theirs)), strict=True)
        pairs = zip(mine.operations, verdicts, strict=False)  # none where the bundle reverts as a whole
        differing = tuple(operation for operation, statuses in pairs if len(set(statuses)) > 1)
    if not differing:
        return mine
    metrics.endpoints_disagree.labels("simulation").inc()
    return replace(mine, undecided=differing, why_undecided="it fails at one endpoint and not at another")


def _calls(engine: Engine, groups: list[list[Operation]], bundles: list[str]) -> list[tuple[str, Sequence[Any]]]:
    simulated: list[tuple[str, Sequence[Any]]] = [
        ("eth_call", [_transaction(engine, group[0].executor, data), "latest"])
        for group, data in zip(groups, bundles, strict=True)
    ]
    return [("eth_blockNumber", []), *simulated]


def _read_all(
    engine: Engine, groups: list[list[Operation]], bundles: list[str], results: list[Any]
) -> list[Simulation]:
    number, *answers = results
    if isinstance(number, RpcError) or int(number, 16) < engine.require_head().number:
        raise ChainUnavailable("The node lags behind")
    return [_read(group, data, answer) for group, data, answer in zip(groups, bundles, answers, strict=True)]


def _transaction(engine: Engine, executor: str, data: str) -> dict[str, str]:
    return {
        "from": engine.wallet.address,
        "to": executor,
        "data": data,
        "gas": hex(settings.CHAIN_BUNDLE_GAS_LIMIT),
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
    """The outcome of each operation; raises `ChainUnavailable` where the answer is not an executor's."""
    try:
        outcomes = decode_outcomes(answer)
    except Undecodable as error:
        raise ChainUnavailable(f"The answer to a simulation is no executor's: {error}") from error
    if len(outcomes) != count:
        raise ChainUnavailable(f"A simulation of {count} operations has {len(outcomes)} outcomes")
    return outcomes


def _whole_failure(operations: list[Operation], data: str, error: RpcError) -> Simulation:
    """The bundle reverts as a whole; raises `ChainUnavailable` where the node could not simulate it."""
    revert = _revert_data(error)
    if revert is None and "revert" not in error.message.lower() and "out of gas" not in error.message.lower():
        raise ChainUnavailable(f"The node could not simulate: {error.message[:100]}") from error
    reason = describe_revert(revert) if revert else error.message
    short_of_gas = "CarrierOutOfGas" in reason or "out of gas" in reason.lower() or "outofgas" in reason.lower()
    return Simulation(operations, data, [], reason, short_of_gas)


def _revert_data(error: RpcError) -> str | None:
    data = error.data.get("data") if isinstance(error.data, dict) else error.data
    return data if isinstance(data, str) and data.startswith("0x") and len(data) >= 10 else None
