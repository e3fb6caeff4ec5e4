"""PlatformExecutor at its limits: the gas of an operation, to the unit, and how much of a reason is kept."""

import pytest

from chain.lending import deployment
from chain.lending.bundles import Outcome, OutcomeStatus
from chain.lending.encoding import Call, encode_call
from tests.contracts.lab import Lab

OTHER = "0x00000000000000000000000000000000000000bb"
ANOTHER = "0x00000000000000000000000000000000000000cc"
FLOOR = 60_000
REVERTS_WITH_GAS_LEFT = "0x5a60005260206000fd"  # GAS; revert with it, 32 bytes
BURNS = "0x5b600056"  # JUMPDEST PUSH1 0 JUMP: for ever
OUT_OF_GAS = "out of gas"


def reverting_with(size: int) -> str:
    """Runtime code that reverts with so many zero bytes."""
    return f"0x62{size:06x}6000fd"


def burning_then_reverting(size: int, gas_left: int) -> str:
    """Runtime code that burns gas until `gas_left` is left, then reverts with so many zero bytes."""
    again = f"5b62{gas_left:06x}5a11600057"  # JUMPDEST, PUSH3, GAS, GT: gas > gas_left, JUMPI 0
    return "0x" + again + f"62{size:06x}6000fd"


def reason_of(lab: Lab, code: str) -> Outcome:
    lab.client.call("anvil_setCode", [OTHER, code])
    (outcome,) = lab.simulate(("one", [Call(OTHER, 0, "0x")]))
    return outcome


@pytest.mark.parametrize("size", [0, 1, 511, 512])
def test_a_reason_of_up_to_512_bytes_is_kept_whole(lab: Lab, size: int) -> None:
    assert reason_of(lab, reverting_with(size)) == Outcome(OutcomeStatus.FAILED, "0x" + "00" * size)


@pytest.mark.parametrize("size", [513, 20_000])
def test_of_a_longer_one_512_bytes_are_kept(lab: Lab, size: int) -> None:
    assert reason_of(lab, reverting_with(size)) == Outcome(OutcomeStatus.FAILED, "0x" + "00" * 512)


def test_an_operation_gets_the_same_gas_in_every_bundle(lab: Lab) -> None:
    """Never less, whatever the bundle's gas limit and however many come before it, and never more."""
    executor = lab.deploy_executor(FLOOR)
    lab.client.call("anvil_setCode", [OTHER, REVERTS_WITH_GAS_LEFT])
    gas_of = {
        limit: _gas_left(lab, executor, limit) for limit in (*range(100_000, 140_000, 500), 200_000, 1_000_000, 10**7)
    }

    given = {gas for gas in gas_of.values() if gas is not None}
    assert len(given) == 1
    (gas,) = given
    assert FLOOR - 26_000 < gas < FLOOR  # less what `run` needs to note the uid and make the call
    assert gas_of[100_000] is None
    assert gas_of[10**7] == gas


def test_what_is_left_when_the_operation_begins_is_judged_to_the_unit(lab: Lab) -> None:
    """The threshold is the operation's gas and 20,000 for `execute` itself, after the 64th that a call keeps back."""
    threshold = {floor: _least_gas(lab, lab.deploy_executor(floor)) for floor in (0, FLOOR, 2 * FLOOR)}

    needed = {floor: -(-(floor + 20_000) * 64 // 63) for floor in threshold}
    for floor in (FLOOR, 2 * FLOOR):
        assert threshold[floor] - threshold[0] == needed[floor] - needed[0]
    # What is spent before: the transaction's own 21,000, its calldata, and looking the uid up.
    assert 25_000 < threshold[0] - needed[0] < 35_000


@pytest.mark.parametrize("code", [BURNS, burning_then_reverting(512, 3_000)], ids=["it burns all", "and says why"])
def test_a_bundle_that_begins_an_operation_can_always_tell_how_it_ended(lab: Lab, code: str) -> None:
    """At no gas limit does it run out of gas itself after an operation used up all of its own."""
    executor = lab.deploy_executor(FLOOR)
    lab.client.call("anvil_setCode", [OTHER, code])
    bundle = lab.bundle(("one", [Call(OTHER, 0, "0x")]), executor=executor)
    least = _least_gas(lab, executor)

    assert lab.refusal(lab.operator.address, bundle, gas=least - 1) == "CarrierOutOfGas()"
    for gas in (*range(least, least + 40, 1), *range(least, least + 20_000, 250)):
        assert lab.refusal(lab.operator.address, bundle, gas=gas) is None, gas


def test_the_gas_of_an_operation_is_the_deployers_to_set(lab: Lab) -> None:
    assert lab.read("PlatformExecutor", lab.executor, "operationGasFloor") == deployment.OPERATION_GAS_FLOOR
    assert lab.read("PlatformExecutor", lab.deploy_executor(FLOOR), "operationGasFloor") == FLOOR


def test_an_operation_cannot_buy_itself_more_gas_by_a_bundle_of_its_own(lab: Lab) -> None:
    """Nested, it would have to pass on what it has not got."""
    executor = lab.deploy_executor(FLOOR)
    inner = lab.bundle(("inner", []), executor=executor)
    (outcome,) = lab.simulate(("outer", [inner]), executor=executor)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.FAILED, encode_call("CarrierOutOfGas()"))


def _gas_left(lab: Lab, executor: str, limit: int) -> int | None:
    """What the second operation's call has left of its gas; None where the bundle is short of gas."""
    lab.client.call("anvil_setCode", [ANOTHER, BURNS])
    calls = [("burner", [Call(ANOTHER, 0, "0x")]), ("gas", [Call(OTHER, 0, "0x")])]
    bundle = lab.bundle(*calls, executor=executor)
    if lab.refusal(lab.operator.address, bundle, gas=limit) is not None:
        return None
    outcomes = lab.simulate(*calls, executor=executor, gas=limit)
    return int(outcomes[1].reason, 16)


def _least_gas(lab: Lab, executor: str) -> int:
    """The smallest gas limit with which a bundle of one operation is not refused as short of gas."""
    bundle = lab.bundle(("one", [Call(OTHER, 0, "0x")]), executor=executor)

    def is_short(gas: int) -> bool:
        return lab.refusal(lab.operator.address, bundle, gas=gas) is not None

    low, high = 21_000, 500_000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_short(middle) else (low, middle)
    return high
