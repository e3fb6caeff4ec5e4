"""Positions as the vault returns them, and what is not one."""

from typing import Any

import pytest

from chain import reconciling
from chain.lending import readings
from chain.lending.dialects import dialect
from chain.lending.fast_codec import Undecodable, encode, function
from chain.lending.positions import VaultPosition, decode_position
from chain.reconciling import ReferenceBlock
from chain.rpc.clients import ChainUnavailable

USER, TOKEN = "0x" + "a1" * 20, "0x" + "b2" * 20
TYPES = function("SolvencyVault", "positions").outputs
HEAD = readings._Head(7, "0x07", 1_700_000_000)


def returned(user: str = USER, token_type: int = 1) -> str:
    return "0x" + encode(TYPES, [user, TOKEN, 10**18, 2_000, 500, 7, token_type, True])


def test_a_position_is_read_by_the_vaults_own_order() -> None:
    assert decode_position(returned()) == VaultPosition(
        user="0xA1A1a1a1A1A1A1A1A1a1a1a1a1a1A1A1a1A1a1a1",
        oaid_token_id=7,
        collateral_token="0xb2b2b2b2b2B2b2B2B2b2b2B2B2b2B2B2b2b2b2b2",
        collateral_amount=10**18,
        collateral_value_usd=2_000,
        usdc_borrowed=500,
        active=True,
        token_type="PRIVATE_ASSET",
    )
    assert decode_position(returned(user="0x" + "00" * 20)) is None


NO_POSITION = {
    "nothing": "0x",
    "a number": "0x" + "00" * 32,
    "a word more": returned() + "00" * 32,
    "an unknown kind of collateral": returned(token_type=2),
    "a flag that is neither": returned()[:-1] + "2",
    "no hexadecimal": returned()[:-1] + "g",
}


@pytest.mark.parametrize("name", NO_POSITION)
def test_what_is_no_position_is_not_taken_for_one(name: str) -> None:
    with pytest.raises(Undecodable):
        decode_position(NO_POSITION[name])


@pytest.mark.parametrize("name", [name for name in NO_POSITION if name != "nothing"])
def test_a_reading_of_another_contract_is_no_reading(name: str) -> None:
    with pytest.raises(ChainUnavailable, match="A contract named in the settings is another one"):
        readings._decode_position(7, NO_POSITION[name], HEAD)


def test_a_credit_line_of_another_contract_is_no_reading() -> None:
    answers = ["0x" + "00" * 12 + "a1" * 20, "0x" + "00" * 32, "0x" + "00" * 32]  # a line has three values
    assert not dialect().is_unknown(answers)
    with pytest.raises(ChainUnavailable, match="A contract named in the settings is another one"):
        readings._decode_oaid(7, answers, HEAD)


def test_a_reconciliation_compares_with_no_position_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node alone may be wrong, so all are asked before it is said of the vault."""
    asked = []

    def answer(calls: Any, *, by_all: bool) -> list[Any]:
        asked.append(by_all)
        return [NO_POSITION["a number"] for _ in calls]

    monkeypatch.setattr(reconciling, "_read", answer)
    moment = ReferenceBlock(7, "0x07", 1_700_000_000)
    with pytest.raises(ChainUnavailable, match="The vault's answer is not a position"):
        reconciling.read_positions([1, 2], moment)
    assert asked == [False, True]
    with pytest.raises(ChainUnavailable, match="USDC's answer is not a balance"):
        monkeypatch.setattr(reconciling, "_read", lambda calls, *, by_all: ["0x" for _ in calls])
        reconciling.read_balances([USER], moment)
