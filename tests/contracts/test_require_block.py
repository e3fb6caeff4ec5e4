"""`requireBlock`: an operation that depends on a block runs only on a chain that has it."""

import pytest

from chain.lending.bundles import OutcomeStatus
from chain.lending.encoding import Call, encode_call, to_bytes
from chain.lending.revert_data import describe_revert
from chain.rpc.clients import RpcError
from tests.contracts.lab import USDC, Lab

FORGED = "0x" + "ab" * 32


def newest(lab: Lab) -> tuple[int, str]:
    block = lab.client.call("eth_getBlockByNumber", ["latest", False])
    return int(block["number"], 16), block["hash"]


def hash_of(lab: Lab, number: int) -> str:
    return str(lab.client.call("eth_getBlockByNumber", [hex(number), False])["hash"])


def payment_after(lab: Lab, number: int, block_hash: str) -> list[Call]:
    guard = encode_call("requireBlock(uint256,bytes32)", [number, to_bytes(block_hash)])
    pay = encode_call("transfer(address,uint256)", [lab.treasury, USDC])
    return [Call(lab.executor, 0, guard), Call(lab.usdc, 0, pay)]


@pytest.fixture
def funded(lab: Lab) -> Lab:
    lab.fund_usdc(lab.executor, 10 * USDC)
    return lab


@pytest.mark.parametrize("age", [0, 1, 100, 254])
def test_a_block_of_this_chain_lets_the_operation_run(funded: Lab, age: int) -> None:
    number, block_hash = newest(funded)
    if age:
        funded.client.call("anvil_mine", [hex(age)])

    funded.run(("pay", payment_after(funded, number, block_hash)))

    assert funded.balance(funded.treasury) == USDC


@pytest.mark.parametrize("age", [0, 1, 100, 254])
def test_another_block_in_its_place_undoes_the_whole_operation(funded: Lab, age: int) -> None:
    number, _ = newest(funded)
    if age:
        funded.client.call("anvil_mine", [hex(age)])

    receipt = funded.run(("pay", payment_after(funded, number, FORGED)))

    assert [outcome for _, outcome in funded.outcomes(receipt)] == [
        f"BlockReplaced(number={number}, expected={FORGED})"
    ]
    assert funded.balance(funded.treasury) == 0


@pytest.mark.parametrize("ahead", [1, 2, 1000])
def test_a_block_that_is_not_there_yet_undoes_it_too(funded: Lab, ahead: int) -> None:
    """The bundle's own block (`ahead` 1) included: it cannot hold what the bundle depends on."""
    number, _ = newest(funded)

    receipt = funded.run(("pay", payment_after(funded, number + ahead, FORGED)))

    assert "BlockReplaced" in next(outcome for _, outcome in funded.outcomes(receipt))
    assert funded.balance(funded.treasury) == 0


def test_a_block_too_old_to_be_looked_up_is_deep_enough(funded: Lab) -> None:
    number, block_hash = newest(funded)
    funded.client.call("anvil_mine", [hex(300)])
    assert hash_of(funded, number) == block_hash

    funded.run(("pay", payment_after(funded, number, block_hash)))

    assert funded.balance(funded.treasury) == USDC


def test_a_simulation_on_the_very_block_passes_and_on_a_replaced_one_says_so(funded: Lab) -> None:
    number, block_hash = newest(funded)

    fresh = funded.simulate(("pay", payment_after(funded, number, block_hash)))
    replaced = funded.simulate(("pay", payment_after(funded, number - 1, FORGED)))

    assert fresh[0].status == OutcomeStatus.EXECUTED
    assert replaced[0].status == OutcomeStatus.FAILED
    assert describe_revert(replaced[0].reason).startswith("BlockReplaced(")


def test_a_simulation_at_a_gas_price_is_judged_as_a_bundle_is(funded: Lab) -> None:
    """Only a call that costs nothing, and so moves nothing, may pass unseen in the very block it names."""
    number, block_hash = newest(funded)
    guard = payment_after(funded, number, block_hash)[0]
    free = {"from": funded.operator.address, "to": guard.to, "data": guard.data, "gas": hex(100_000)}
    price = {"gasPrice": funded.client.call("eth_gasPrice")}

    assert funded.client.call("eth_call", [free, "latest"]) == "0x"
    with pytest.raises(RpcError) as refused:
        funded.client.call("eth_call", [{**free, **price}, "latest"])
    assert describe_revert(refused.value.data) == f"BlockReplaced(number={number}, expected={block_hash})"


def test_a_simulation_of_a_block_to_come_fails(funded: Lab) -> None:
    number, block_hash = newest(funded)
    (outcome,) = funded.simulate(("pay", payment_after(funded, number + 1, block_hash)))
    assert describe_revert(outcome.reason).startswith("BlockReplaced(")


@pytest.mark.parametrize(("age", "runs"), [(256, False), (257, True)])
def test_a_wrong_hash_is_noticed_as_far_back_as_the_chain_can_look(funded: Lab, age: int, runs: bool) -> None:
    """`age` blocks before the bundle's own."""
    number, _ = newest(funded)
    funded.client.call("anvil_mine", [hex(age - 1)])

    receipt = funded.run(("pay", payment_after(funded, number, FORGED)))

    assert int(receipt["blockNumber"], 16) - number == age
    assert funded.balance(funded.treasury) == (USDC if runs else 0)


def test_it_answers_anybody_and_changes_nothing(funded: Lab) -> None:
    number, block_hash = newest(funded)
    funded.client.call("anvil_mine", ["0x1"])
    guard = payment_after(funded, number, block_hash)[0]

    assert funded.refusal(funded.stranger.address, guard) is None
