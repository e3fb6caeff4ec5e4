"""A year of the platform, told to the base unit: three partners, five loans at 5 %, on the sandbox's clock.

Everything happens on a day counted from the first loan, in a block of exactly that time; so every figure below can be
worked out by hand: interest is principal * 5 % * days / 365, rounded up once for a position.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from audit.models import AuditEntry
from loans import tasks
from loans.models import PartnerLoan, SolvencyPosition
from loans.positions.health import health_of
from loans.reconciliation.run import reconcile
from loans.services import follow
from partners.models import Partner
from tests.factories import DOLLAR
from tests.support.actors import approve_usdc, fund_usdc, liquidate, repay_on_chain, revalue, set_interest_rate

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400
THIRD_SETTLEMENT = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


@dataclass
class Story:
    """The year's clock, its actors, and what is looked at."""

    chain: Any
    settle: Any
    start: int
    partners: dict[str, Any]

    def on_day(self, day: int, *, blocks_before: int = 0) -> None:
        """The next block but `blocks_before` comes exactly `day` days after the first loan."""
        self.chain.rpc("evm_setNextBlockTimestamp", hex(self.start + day * DAY - blocks_before))

    def lend(self, day: int, partner: str, user: Any, dollars: int, loan_id: str, **terms: int) -> None:
        assert self.partners[partner].borrow(user, dollars, loan_id, **terms).status_code == 202
        self.on_day(day)
        self.settle()

    def repay(self, day: int, partner: str, loan_id: str, base_units: int) -> None:
        assert self.partners[partner].repay(base_units, loan_id).status_code == 202
        self.on_day(day)
        self.settle()

    def pay_off(self, day: int, partner: str, loan_id: str) -> None:
        self.wake_up_on(day, seconds_before=60)
        quote = self.partners[partner].get(f"/partners/loan/{loan_id}/payoff").json()
        self.repay(day, partner, loan_id, int(quote["payoffAmount"]))

    def wake_up_on(self, day: int, *, seconds_before: int = 0) -> None:
        """A block at that time, and everything that runs by the clock."""
        self.chain.pass_time(self.start + day * DAY - seconds_before - self.chain.now())
        follow.follow_chain()
        tasks.watch_loans()

    def loan(self, partner: str, loan_id: str) -> tuple[str, int, int, int]:
        """Status, outstanding principal, accrued interest, total repaid; debt is the sum of the two in the middle."""
        body = self.partners[partner].loan(loan_id)
        principal, interest = int(body["outstandingPrincipal"]), int(body["accruedInterest"])
        assert int(body["remainingDebt"]) == principal + interest
        return body["status"], principal, interest, int(body["totalRepaid"])

    def sums(self, partner: str) -> tuple[int, int, int]:
        """Current outstanding, total borrowed, total repaid."""
        row = Partner.objects.get(pk=self.partners[partner].partner.pk)
        return row.current_outstanding, row.total_borrowed, row.total_repaid

    def now_is_day(self, day: int) -> None:
        """What happened is followed, and the newest block is exactly that of the day."""
        follow.follow_chain()
        assert self.chain.now() == self.start + day * DAY

    def instalments(self, partner: str, loan_id: str) -> str:
        """Their statuses by first letter: DUE, PAID, MISSED."""
        return "".join(entry["status"][0] for entry in self.partners[partner].loan(loan_id)["schedule"])

    def position(self, user: Any) -> tuple[int, int, int | None, bool]:
        """Partner debt (principal), debt to the pool, health factor in basis points, whether it is active."""
        row = SolvencyPosition.objects.get(position_id=user.position_id)
        health = health_of(row, self.chain.now())
        assert health.debt == self.chain.debt(user.position_id)
        return row.total_partner_debt, health.debt, health.factor_bps, row.active

    def debts_are_the_chains(self, *users: Any) -> None:
        """M5, position by position: what the loans owe is what the pool says."""
        for user in users:
            loans = PartnerLoan.objects.filter(solvency_position_id=user.position_id)
            client = {client.partner.pk: client for client in self.partners.values()}
            shown = [int(client[loan.partner_id].loan(loan.partner_loan_id)["remainingDebt"]) for loan in loans]
            assert sum(shown) == self.chain.debt(user.position_id)


@pytest.fixture
def story(chain, make_client, settle) -> Iterator[Story]:
    set_interest_rate(chain, 500)
    chain.rpc("anvil_setBalance", THIRD_SETTLEMENT, hex(10**18))
    fund_usdc(chain, THIRD_SETTLEMENT, 100_000 * DOLLAR)
    approve_usdc(chain, THIRD_SETTLEMENT, 2**256 - 1)
    partners = {
        "Acorn": make_client(0, partner_name="Acorn"),
        "Birch": make_client(1, partner_name="Birch"),
        "Cedar": make_client(0, partner_name="Cedar", key_label="ced", settlement_address=THIRD_SETTLEMENT),
    }
    chain.rpc("anvil_setBlockTimestampInterval", 1)
    yield Story(chain, settle, chain.now() + 1_000, partners)
    chain.rpc("anvil_removeBlockTimestampInterval")


def test_a_worked_year(story, chain):  # noqa: PLR0915 - a year has many statements
    ida, jo, kim = chain.users  # credit lines of $10,000, $50,000 and $100,000

    # Winter and spring: five loans. Jo's position carries two partners, and so does Kim's.
    story.lend(0, "Acorn", jo, 10_000, "A1")
    story.lend(30, "Birch", jo, 5_000, "B1")
    story.lend(60, "Cedar", kim, 20_000, "C1", loanDuration=364 * DAY, numberOfInstallments=4)
    story.lend(90, "Acorn", ida, 3_000, "A2")
    story.lend(120, "Birch", kim, 2_000, "B2")
    story.wake_up_on(145)
    assert story.sums("Acorn") == (13_000_000_000, 13_000_000_000, 0)
    assert story.sums("Birch") == (7_000_000_000, 7_000_000_000, 0)
    assert story.sums("Cedar") == (20_000_000_000, 20_000_000_000, 0)
    story.debts_are_the_chains(ida, jo, kim)

    # Day 146: Acorn pays $2,200 of A1, whose interest is 10,000 * 5 % * 146 / 365 = $200: the rest is principal.
    # The pool covers all interest of Jo's position first, so that Birch's $79.452055 bear interest from now on.
    story.repay(146, "Acorn", "A1", 2_200 * DOLLAR)
    story.now_is_day(146)
    assert story.loan("Acorn", "A1") == ("ACTIVE", 8_000_000_000, 0, 2_200_000_000)
    assert story.loan("Birch", "B1") == ("ACTIVE", 5_000_000_000, 79_452_055, 0)
    assert story.sums("Acorn") == (11_000_000_000, 13_000_000_000, 2_200_000_000)
    story.debts_are_the_chains(jo)

    # Day 151 passes without Cedar's first instalment: missed, and after a week of grace in default.
    story.wake_up_on(155)
    assert story.loan("Cedar", "C1") == ("ACTIVE", 20_000_000_000, 260_273_973, 0)
    assert story.instalments("Cedar", "C1") == "MDDD"
    story.wake_up_on(160)
    assert story.loan("Cedar", "C1") == ("DEFAULTED", 20_000_000_000, 273_972_603, 0)

    # Day 180: Jo pays $6,000 at the vault herself. It goes to the oldest loan, interest first.
    repay_on_chain(chain, jo.wallet, jo, 6_000 * DOLLAR, before=lambda: story.on_day(180))
    story.now_is_day(180)
    assert story.loan("Acorn", "A1") == ("ACTIVE", 2_037_260_274, 0, 8_200_000_000)
    assert story.loan("Birch", "B1") == ("ACTIVE", 5_000_000_000, 103_109_777, 0)
    assert story.sums("Acorn") == (5_037_260_274, 13_000_000_000, 8_200_000_000)
    assert story.partners["Acorn"].loan("A1")["repaymentHistory"][-1]["repaidBy"] == "USER"
    story.debts_are_the_chains(jo)

    # Day 200: Cedar pays $5,400, which covers the interest of 140 days and the first instalment: cured.
    story.repay(200, "Cedar", "C1", 5_400 * DOLLAR)
    story.now_is_day(200)
    assert story.loan("Cedar", "C1") == ("ACTIVE", 14_983_561_644, 0, 5_400_000_000)
    assert story.instalments("Cedar", "C1") == "PDDD"
    assert story.loan("Birch", "B2") == ("ACTIVE", 2_000_000_000, 21_917_809, 0)
    story.debts_are_the_chains(kim)

    # Day 240: the second instalment is in time. Day 270: Birch pays B1 off by quote.
    story.repay(240, "Cedar", "C1", 5_200 * DOLLAR)
    story.now_is_day(240)
    assert story.loan("Cedar", "C1") == ("ACTIVE", 9_865_663_352, 0, 10_600_000_000)
    assert story.instalments("Cedar", "C1") == "PPDD"
    story.pay_off(270, "Birch", "B1")
    story.now_is_day(270)
    assert story.loan("Birch", "B1") == ("REPAID", 0, 0, 5_166_024_829)
    assert story.loan("Acorn", "A1") == ("ACTIVE", 2_037_260_274, 25_116_908, 8_200_000_000)
    assert story.sums("Birch") == (2_000_000_000, 7_000_000_000, 5_166_024_829)
    story.debts_are_the_chains(ida, jo, kim)

    # Day 300: Ida's collateral is worth $2,500 all of a sudden. A liquidator pays that, and the rest of A2 is lost.
    revalue(chain, ida, 2_500 * DOLLAR)
    story.wake_up_on(299)
    assert AuditEntry.objects.get(action="position.health_warning").target == f"position:{ida.position_id}"
    liquidate(chain, kim.wallet, ida, 2_500 * DOLLAR, before=lambda: story.on_day(300))
    story.now_is_day(300)
    assert story.loan("Acorn", "A2") == ("LIQUIDATED", 0, 0, 2_500_000_000)
    assert story.partners["Acorn"].loan("A2")["writtenOff"] == "586301370"  # of 3,000 and 210 days' interest
    assert story.sums("Acorn") == (2_037_260_274, 13_000_000_000, 10_700_000_000)

    # Day 320: Cedar pays the rest of C1 off, a fortnight before the third instalment.
    story.pay_off(320, "Cedar", "C1")
    story.now_is_day(320)
    assert story.loan("Cedar", "C1") == ("REPAID", 0, 0, 20_573_780_211)
    assert story.instalments("Cedar", "C1") == "PPPP"
    assert story.sums("Cedar") == (0, 20_000_000_000, 20_573_780_211)

    # A year after the first loan: what is left is a part of A1, and B2.
    story.wake_up_on(365)
    assert story.loan("Acorn", "A1") == ("ACTIVE", 2_037_260_274, 51_956_064, 8_200_000_000)
    assert story.loan("Acorn", "A2") == ("LIQUIDATED", 0, 0, 2_500_000_000)
    assert story.loan("Birch", "B1") == ("REPAID", 0, 0, 5_166_024_829)
    assert story.loan("Birch", "B2") == ("ACTIVE", 2_000_000_000, 67_945_739, 0)
    assert story.loan("Cedar", "C1") == ("REPAID", 0, 0, 20_573_780_211)
    assert story.sums("Acorn") == (2_037_260_274, 13_000_000_000, 10_700_000_000)
    assert story.sums("Birch") == (2_000_000_000, 7_000_000_000, 5_166_024_829)
    assert story.sums("Cedar") == (0, 20_000_000_000, 20_573_780_211)
    assert story.position(ida) == (0, 0, None, False)
    assert story.position(jo) == (2_037_260_274, 2_089_216_338, 341_891, True)
    assert story.position(kim) == (2_000_000_000, 2_067_945_739, 805_952, True)
    story.debts_are_the_chains(ida, jo, kim)
    assert reconcile().findings == []
