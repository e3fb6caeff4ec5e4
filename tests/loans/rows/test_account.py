"""Accepting a repayment that the account pays: by a judgement that still holds, and noted where it spends on trust."""

import pytest

from loans.funding import trusted
from loans.funding.trusted import Judgement, JudgementOutdated
from loans.models import PartnerSpending, PlatformAccount
from tests.loans.rows.conftest import EXECUTOR
from tests.support.books_rows import BooksRows, changed_by

JUDGED = Judgement(account=EXECUTOR, block_number=9, block_hash="0x09", judgements=4, left=1_000)


@pytest.fixture
def judged(world: BooksRows) -> PlatformAccount:
    """The account as it was when it was judged."""
    PlatformAccount.objects.create(address="0x" + "e2" * 20, judgements=4)
    return PlatformAccount.objects.create(address=EXECUTOR, judgements=4)


@pytest.mark.parametrize("on_trust", [False, True])
def test_what_is_accepted_on_trust_is_noted_for_its_partner_and_account(
    world: BooksRows, judged: PlatformAccount, on_trust: bool
) -> None:
    partner = world.partner()
    here, _ = world.spending(partner, 40), world.spending(partner, 40, account="0x" + "e2" * 20)
    changes, made = changed_by(lambda: trusted.accept(JUDGED, partner, on_trust=on_trust))
    noted = {here.pk: {"on_trust": True}} if on_trust else {}
    assert changes == {judged.pk: {"judgements": 5}, **noted}
    assert made == []


@pytest.mark.parametrize("judgements", [3, 5])
def test_a_judgement_that_another_came_after_accepts_nothing(
    world: BooksRows, judged: PlatformAccount, judgements: int
) -> None:
    partner = world.partner()
    row = world.spending(partner, 40)
    PlatformAccount.objects.filter(pk=judged.pk).update(judgements=judgements)
    with pytest.raises(JudgementOutdated):
        trusted.accept(JUDGED, partner, on_trust=True)
    assert PartnerSpending.objects.get(pk=row.pk).on_trust is False
    assert PlatformAccount.objects.get(pk=judged.pk).judgements == judgements


def test_a_partner_that_is_trusted_is_so_on_every_account(world: BooksRows) -> None:
    partner = world.partner()
    rows = [world.spending(partner, 40), world.spending(partner, 40, account="0x" + "e2" * 20)]
    changes, _ = changed_by(lambda: trusted.note_trusted(partner.pk))
    assert changes == {row.pk: {"on_trust": True} for row in rows}
