"""Bytes on the wire, against eth-abi and known values."""

from typing import Any

import pytest
from eth_abi.abi import encode
from web3.exceptions import Web3ValueError

from chain.lending.bundles import Outcome, OutcomeStatus, decode_outcomes, encode_execute, split_by_operation
from chain.lending.encoding import (
    OPERATION_FAILED_TOPIC,
    TRANSFER_TOPIC,
    Call,
    address_topic,
    encode_call,
    topic_of,
    uid_of,
    uint_topic,
)
from chain.lending.fast_codec import event, function
from chain.lending.revert_data import describe_revert

ALICE, BOB = "0x" + "a1" * 20, "0x" + "B2" * 20
CHECKSUMMED_ALICE = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a1"


def test_calldata_is_selector_and_arguments() -> None:
    assert encode_call("transfer(address,uint256)", [ALICE, 5]) == (
        "0xa9059cbb" + ALICE[2:].rjust(64, "0") + f"{5:064x}"
    )
    assert encode_call("pause()") == "0x8456cb59"
    types = ["(bytes32,(address,uint256,bytes)[])", "uint8"]
    value = ((b"\x01" * 32, [(ALICE, 3, b"\x02\x03")]), 7)
    data = encode_call(f"f({','.join(types)})", value)
    assert data[10:] == encode(types, value).hex()


def test_a_call_is_stored_and_read_again() -> None:
    call = Call(ALICE, 10**30, "0x12")
    assert call.as_json() == {"to": ALICE, "value": 10**30, "data": "0x12"}
    assert Call.from_json({**call.as_json(), "value": str(10**30)}) == call


def test_topics_are_known_values() -> None:
    assert TRANSFER_TOPIC == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert uid_of("transfer(address,uint256)").startswith("0xa9059cbb")
    assert (address_topic(BOB), uint_topic(255)) == ("0x" + "0" * 24 + "b2" * 20, "0x" + "0" * 62 + "ff")


def test_a_bundle_is_its_operations_in_order() -> None:
    one, two = uid_of("one"), uid_of("two")
    data = encode_execute([(two, [Call(ALICE, 1, "0x1234"), Call(BOB, 0, "0x")]), (one, [])])
    rows = [(bytes.fromhex(two[2:]), [(ALICE, 1, b"\x12\x34"), (BOB, 0, b"")]), (bytes.fromhex(one[2:]), [])]
    assert data[10:] == encode(["(bytes32,(address,uint256,bytes)[])[]"], [rows]).hex()


def test_outcomes_are_read_in_order() -> None:
    rows = [(0, b""), (1, b"\x08\xc3"), (2, b"")]
    answer = "0x" + encode(["(uint8,bytes)[]"], [rows]).hex()
    assert decode_outcomes(answer) == [
        Outcome(OutcomeStatus.EXECUTED),
        Outcome(OutcomeStatus.FAILED, "0x08c3"),
        Outcome(OutcomeStatus.SKIPPED),
    ]


def test_an_operations_event_has_its_uid_its_reason_and_the_logs_before_it() -> None:
    reason = "0x" + encode(["bytes"], [b"\x0a\x0b"]).hex()
    uid = uid_of("one")
    log = {"address": ALICE, "topics": [OPERATION_FAILED_TOPIC, uid], "data": reason, "logIndex": "0x1f"}
    others = [{**log, "address": BOB}, {**log, "topics": []}]
    (found,) = split_by_operation([*others, {**log, "address": ALICE.upper().replace("0X", "0x")}], {ALICE})
    assert (found.uid, found.logs) == (uid, others)
    assert found.outcome == Outcome(OutcomeStatus.FAILED, "0x0a0b")


def test_an_events_arguments_are_read_by_name() -> None:
    log = {
        "address": BOB,
        "topics": [topic_of("SolvencyVault", "LoanRepaid"), uint_topic(9), address_topic(ALICE)],
        "data": uint_topic(77),
    }
    found = event("SolvencyVault", "LoanRepaid").decode(log)
    assert found == {"positionId": 9, "payer": CHECKSUMMED_ALICE, "amount": 77}


def error(name: str, types: list[str], values: list[Any]) -> str:
    inputs = ",".join(types)
    return encode_call(f"{name}({inputs})", values)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (error("NothingOwed", ["uint256"], [5]), "NothingOwed(positionId=5)"),
        (error("NotOperator", ["address"], [ALICE]), f"NotOperator(caller={CHECKSUMMED_ALICE})"),
        (
            error("BlockReplaced", ["uint256", "bytes32"], [5, b"\xab" * 32]),
            f"BlockReplaced(number=5, expected=0x{'ab' * 32})",
        ),
        (error("CarrierOutOfGas", [], []), "CarrierOutOfGas()"),
        (error("Error", ["string"], ["out of luck"]), "out of luck"),
        (error("Panic", ["uint256"], [17]), "Panic(code=17)"),
        ("0x", "reverted without a reason"),
        ("0x12345678", "reverted with 0x12345678"),
        (error("NothingOwed", ["uint256"], [5])[:20], f"NothingOwed ({error('NothingOwed', ['uint256'], [5])[:20]})"),
    ],
    ids=["number", "address", "two arguments", "none", "text", "panic", "nothing", "unknown", "cut off"],
)
def test_revert_data_is_told_to_a_person(data: str, sentence: str) -> None:
    assert describe_revert(data) == sentence


def test_a_contracts_member_is_the_one_of_that_name() -> None:
    bundle = encode_call("execute((bytes32,(address,uint256,bytes)[])[])", [[]])
    assert function("PlatformExecutor", "execute").encode([]) == bundle
    assert event("PlatformExecutor", "Repaid").name == "PlatformExecutor.Repaid"
    with pytest.raises(Web3ValueError, match="Could not find any function with matching name"):
        function("PlatformExecutor", "missing")
    with pytest.raises(Web3ValueError, match="Found multiple functions with matching name"):
        function("OAID", "safeTransferFrom")
