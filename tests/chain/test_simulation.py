"""A node's answer to a simulated bundle: a verdict, a shortage of gas, or nothing at all."""

from typing import Any

import pytest
from eth_abi.abi import encode

from chain.lending.bundles import Outcome, OutcomeStatus
from chain.lending.encoding import encode_call
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement.simulation import Simulation, _read

EXECUTOR = "0x" + "E5" * 20
OPERATIONS = [Operation(key=key, executor=EXECUTOR) for key in ("one", "two")]
OUT_OF_GAS = encode_call("CarrierOutOfGas()")
NOT_OPERATOR = encode_call("NotOperator(address)", ["0x" + "a1" * 20])


def read(answer: Any) -> Simulation:
    found = _read(OPERATIONS, "0xda7a", answer)
    assert (found.operations, found.data) == (OPERATIONS, "0xda7a")
    return found


def test_outcomes_in_order() -> None:
    found = read("0x" + encode(["(uint8,bytes)[]"], [[(0, b""), (1, b"\x01")]]).hex())
    assert found.outcomes == [Outcome(OutcomeStatus.EXECUTED), Outcome(OutcomeStatus.FAILED, "0x01")]
    assert (found.whole_failure, found.short_of_gas, found.fails) == ("", False, True)


@pytest.mark.parametrize(("statuses", "fails"), [([0, 0], False), ([0, 2], False), ([1, 0], True)])
def test_it_fails_where_one_operation_would(statuses: list[int], fails: bool) -> None:
    assert read("0x" + encode(["(uint8,bytes)[]"], [[(status, b"") for status in statuses]]).hex()).fails is fails


@pytest.mark.parametrize("answer", [None, "0x"])
def test_an_address_without_code_answers_nothing(answer: Any) -> None:
    found = read(answer)
    assert found.whole_failure == f"there is no executor at {EXECUTOR}"
    assert (found.outcomes, found.short_of_gas, found.fails) == ([], False, True)


def test_an_operation_that_is_no_executors_says_which_setting_was_missing() -> None:
    found = _read([Operation(key="one")], "0xda7a", "0x")
    assert found.whole_failure == "there is no executor: PLATFORM_EXECUTOR_ADDRESS was not set when this was accepted"
    assert (found.outcomes, found.short_of_gas, found.fails) == ([], False, True)


@pytest.mark.parametrize(
    ("error", "reason", "short_of_gas"),
    [
        (RpcError(3, "execution reverted", NOT_OPERATOR), "NotOperator(caller=0xa1", False),
        (RpcError(3, "whatever it says", NOT_OPERATOR), "NotOperator(caller=0xa1", False),
        (RpcError(3, "whatever it says", {"data": NOT_OPERATOR}), "NotOperator(caller=0xa1", False),
        (RpcError(3, "execution reverted", OUT_OF_GAS), "CarrierOutOfGas()", True),
        (RpcError(3, "Execution Reverted"), "Execution Reverted", False),
        (RpcError(3, "execution reverted", "0x"), "execution reverted", False),
        (RpcError(3, "execution reverted", "0x123456"), "execution reverted", False),
        (RpcError(3, "execution reverted", {"data": None}), "execution reverted", False),
        (RpcError(3, "execution reverted", ["0x12345678"]), "execution reverted", False),
        (RpcError(-32000, "Out of gas: gas required exceeds allowance"), "Out of gas", True),
        (RpcError(-32000, "EVM error: OutOfGas, reverted"), "EVM error: OutOfGas", True),
    ],
    ids=["revert", "any words", "nested data", "gas", "no data", "empty", "short", "null", "list", "geth", "revm"],
)
def test_a_revert_is_a_verdict_on_the_bundle(error: RpcError, reason: str, short_of_gas: bool) -> None:
    found = read(error)
    assert found.whole_failure.lower().startswith(reason.lower())
    assert (found.outcomes, found.short_of_gas, found.fails) == ([], short_of_gas, True)


@pytest.mark.parametrize("message", ["header not found", "internal error", "missing trie node", "timeout"])
def test_a_node_that_could_not_simulate_failsthing(message: str) -> None:
    with pytest.raises(ChainUnavailable, match=f"The node could not simulate: {message}"):
        read(RpcError(-32000, message))
