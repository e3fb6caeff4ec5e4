"""A reason for which a wallet was frozen is dropped where it was one, and nothing else is changed."""

import functools

import pytest

from chain.models import PlatformWallet
from chain.wallet.freezing import drop_freeze_reason
from partner_platform.core.text.wording import joined, parts

pytestmark = pytest.mark.django_db

ONE, OTHER = "its history is compared", "a foreign nonce"


def wallet(status: str, *reasons: str) -> PlatformWallet:
    made = PlatformWallet.objects.create(address="0x" + "1" * 40, chain_id=5003, fee_cap_wei=1, status=status)
    PlatformWallet.objects.update(status_reason=functools.reduce(joined, reasons, ""))
    return made


def state() -> tuple[str, list[str], int]:
    row = PlatformWallet.objects.get()
    return row.status, list(parts(row.status_reason)), row.status_changes


@pytest.mark.parametrize(
    ("status", "reasons"), [("FROZEN", (OTHER,)), ("ACTIVE", (ONE,)), ("PAUSED", (ONE,)), ("ACTIVE", ())]
)
def test_what_it_is_not_frozen_for_is_not_dropped(status: str, reasons: tuple[str, ...]) -> None:
    made = wallet(status, *reasons)
    before = state()
    assert drop_freeze_reason(made.pk, ONE) is False
    assert state() == before


@pytest.mark.parametrize(("reasons", "status", "left"), [((ONE,), "ACTIVE", []), ((OTHER, ONE), "FROZEN", [OTHER])])
def test_it_works_again_where_nothing_else_froze_it(reasons: tuple[str, ...], status: str, left: list[str]) -> None:
    made = wallet("FROZEN", *reasons)
    assert drop_freeze_reason(made.pk, ONE) is True
    assert state() == (status, left, made.status_changes + 1)
