"""How the two systems are spoken to, and how their answers are read."""

from typing import Any

import pytest
from eth_abi.abi import encode
from pytest_django.fixtures import Settings

from chain.lending.dialects import DIALECTS, Borrow, DecodedOaid, Dialect, PlanDialect, dialect
from chain.lending.encoding import encode_call, topic_of, uint_topic
from chain.lending.revert_data import error_selector
from chain.lending.views import View
from chain.rpc.errors import RpcError

OAID, VAULT = "0x" + "a0" * 20, "0x" + "b0" * 20
USER = "0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a1"
YEAR = 31_536_000
PLAN, PUBLIC = DIALECTS["plan"], DIALECTS["public"]


def calldata(views: list[View]) -> list[tuple[str, str]]:
    return [(params[0]["to"], params[0]["data"]) for _, params in (view.request() for view in views)]


@pytest.fixture(autouse=True)
def _addresses(settings: Settings) -> None:
    settings.OAID_ADDRESS, settings.SOLVENCY_VAULT_ADDRESS = OAID, VAULT


@pytest.mark.parametrize(("name", "one_at_a_time"), [("plan", False), ("public", True)])
def test_the_settings_name_the_system(settings: Settings, name: str, one_at_a_time: bool) -> None:
    settings.CHAIN_SYSTEM = name
    assert dialect() is DIALECTS[name]
    assert dialect().one_loan_per_position is one_at_a_time
    assert dialect().borrowed_topic == topic_of(dialect().vault, "USDCBorrowed")


@pytest.mark.parametrize("missing", ["oaid_views", "is_unknown", "decode_oaid", "borrow_call", "borrowed_data"])
def test_a_system_that_lacks_one_of_the_differences_cannot_be_made(missing: str) -> None:
    members = {name: member for name, member in vars(PlanDialect).items() if name != missing}
    halfway: Any = type("Halfway", (Dialect,), members)
    with pytest.raises(TypeError, match=missing):
        halfway()


def test_the_plans_borrow_is_a_position_and_an_amount() -> None:
    borrow = Borrow(7, 1_000, duration=60, installments=3)
    assert PLAN.borrow_call(borrow) == encode_call("borrowUSDC(uint256,uint256)", [7, 1_000])
    assert PLAN.borrowed_data(borrow) == uint_topic(1_000)


@pytest.mark.parametrize(
    ("duration", "installments", "terms"), [(None, None, (YEAR, 1)), (60, None, (60, 1)), (60, 3, (60, 3))]
)
def test_the_deployed_systems_borrow_has_terms(duration: Any, installments: Any, terms: tuple[int, int]) -> None:
    borrow = Borrow(7, 1_000, duration, installments)
    signature = "borrowUSDC(uint256,uint256,uint256,uint256)"
    assert PUBLIC.borrow_call(borrow) == encode_call(signature, [7, 1_000, *terms])
    assert PUBLIC.borrowed_data(borrow) == "0x" + encode(["uint256"] * 3, [1_000, *terms]).hex()


def test_the_plans_oaid_is_asked_for_in_three_calls() -> None:
    assert calldata(PLAN.oaid_views(5)) == [
        (OAID, encode_call("ownerOf(uint256)", [5])),
        (OAID, encode_call("getCreditLine(uint256)", [5])),
        (VAULT, encode_call("positionOf(uint256)", [5])),
    ]
    answers = [
        "0x" + encode(["address"], [USER]).hex(),
        "0x" + encode(["uint256", "uint256", "bool"], [10, 3, True]).hex(),
        uint_topic(9),
    ]
    assert PLAN.decode_oaid(answers) == DecodedOaid(USER, 10, 3, True, 9)


def test_the_deployed_systems_oaid_is_one_struct() -> None:
    assert calldata(PUBLIC.oaid_views(5)) == [(OAID, encode_call("getCreditLine(uint256)", [5]))]
    line = "0x" + encode(["(address,uint256,uint256,uint256,bool)"], [(USER, 10, 3, 9, False)]).hex()
    assert PUBLIC.decode_oaid([line]) == DecodedOaid(USER, 10, 3, False, 9)


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        (RpcError(3, "execution reverted", error_selector("OAID", "ERC721NonexistentToken") + "00" * 32), True),
        (RpcError(3, "execution reverted", "0x12345678"), False),
        (RpcError(3, "header not found"), False),
        (uint_topic(1), False),
    ],
)
def test_a_token_of_the_plan_is_unknown_where_the_contract_says_so(answer: Any, unknown: bool) -> None:
    assert PLAN.is_unknown([answer, "0x", "0x"]) is unknown


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        ("0x" + "0" * 64 * 5, True),
        ("0x" + "0" * 63 + "1" + "0" * 64 * 4, False),
        ("0x" + "0" * 64 + "f" * 64, True),
        ("0x", False),
        (RpcError(3, "header not found"), False),
    ],
    ids=["nobody's", "somebody's", "nobody's with a limit", "no contract", "no answer"],
)
def test_a_token_of_the_deployed_system_is_unknown_where_it_has_no_user(answer: Any, unknown: bool) -> None:
    assert PUBLIC.is_unknown([answer]) is unknown
