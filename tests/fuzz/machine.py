"""The rules: everything that partners, users, staff, the chain and bad luck do, in any order."""

from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.lending import readings
from chain.lending.encoding import encode_call
from partner_platform.core import clock
from tests.factories import DOLLAR
from tests.fuzz.nodes import LIES, NAMES
from tests.fuzz.people import UNLIMITED
from tests.fuzz.platform import ACCEPTED, DEEPEST_REORG, MINING, WORK, Lender, Platform, demand

AMOUNTS = st.sampled_from([1, 999_999, 400 * DOLLAR, 1_000 * DOLLAR, 2_500 * DOLLAR, 9_000 * DOLLAR, 40_000 * DOLLAR])
# The first is refused, the next ones are the smallest that are not.
LOANS = st.sampled_from(
    [DOLLAR - 1, DOLLAR, DOLLAR + 1, 400 * DOLLAR, 1_000 * DOLLAR, 2_500 * DOLLAR, 9_000 * DOLLAR, 40_000 * DOLLAR]
)
LIMITS = st.sampled_from([1, 3_000 * DOLLAR, 20_000 * DOLLAR, 500_000 * DOLLAR])
LENDERS = st.integers(0, 2)
USERS = st.integers(0, 2)
CRASHES = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30))
NODES = st.sampled_from(NAMES)
TIPS = st.sampled_from([2, 2, 0])  # before our transactions in a block, or behind them
SHARES = st.sampled_from(["all", "half", "a unit", "too much"])


class History(RuleBasedStateMachine):
    """One history. The world it begins with is put back before it."""

    platform: ClassVar[Platform]

    def __init__(self) -> None:
        super().__init__()
        self.platform.begin()
        self.loans: list[tuple[Lender, str]] = []
        self.transfers: list[str] = []
        self.is_sound = True

    @invariant()
    def books_and_chain_agree(self) -> None:
        self.platform.counts["steps"] += 1
        self.is_sound = False
        demand(self.platform.invariants.violations())
        self.is_sound = True

    def teardown(self) -> None:
        if self.is_sound:
            self.platform.come_to_rest()

    # --- partners ---

    @rule(lender=LENDERS, user=USERS, amount=LOANS, stale=st.booleans(), settled=st.booleans(), crash_at=CRASHES)
    def borrow(self, lender: int, user: int, amount: int, stale: bool, settled: bool, crash_at: int | None) -> None:
        if not stale:
            readings.forget_block()
        who = self.platform.lenders[lender]
        loan_id = self.platform.borrow(who, self.platform.chain.users[user], amount, crash_at=crash_at)
        if loan_id is not None:
            self.loans.append((who, loan_id))
        self._settle_if(settled)

    @precondition(lambda self: self.loans)
    @rule(loan=st.integers(0, 50), share=SHARES, settled=st.booleans(), crash_at=CRASHES)
    def repay_pulled(self, loan: int, share: str, settled: bool, crash_at: int | None) -> None:
        self._repay(loan, share, crash_at)
        self._settle_if(settled)

    @precondition(lambda self: self.loans and self.transfers)
    @rule(loan=st.integers(0, 50), share=SHARES, transfer=st.integers(0, 50), settled=st.booleans(), crash_at=CRASHES)
    def repay_proven(self, loan: int, share: str, transfer: int, settled: bool, crash_at: int | None) -> None:
        self._repay(loan, share, crash_at, repaymentTxHash=self.transfers[-1 - transfer % len(self.transfers)])
        self._settle_if(settled)

    @rule(lender=LENDERS, amount=AMOUNTS, tip=TIPS, mined=st.booleans())
    def send_funds(self, lender: int, amount: int, tip: int, mined: bool) -> None:
        account = self.platform.lenders[lender].account
        self.transfers.append(self.platform.people.fund(account, amount, tip=tip))
        self._mine_if(mined)

    @rule(lender=LENDERS, amount=st.sampled_from([0, 500 * DOLLAR, UNLIMITED]), tip=TIPS, mined=st.booleans())
    def change_allowance(self, lender: int, amount: int, tip: int, mined: bool) -> None:
        self.platform.people.allow(self.platform.lenders[lender].account, amount, tip=tip)
        self._mine_if(mined)

    # --- users ---

    @rule(user=USERS, allowed=st.booleans(), tip=TIPS, mined=st.booleans())
    def set_operator(self, user: int, allowed: bool, tip: int, mined: bool) -> None:
        self.platform.people.set_operator(self.platform.chain.users[user], allowed=allowed, tip=tip)
        self._mine_if(mined)

    @rule(user=USERS, amount=AMOUNTS, tip=TIPS, mined=st.booleans())
    def user_draws(self, user: int, amount: int, tip: int, mined: bool) -> None:
        self.platform.people.draw(self.platform.chain.users[user], amount, tip=tip)
        self._mine_if(mined)

    @rule(user=USERS, share=SHARES, tip=TIPS, mined=st.booleans())
    def user_repays(self, user: int, share: str, tip: int, mined: bool) -> None:
        who = self.platform.chain.users[user]
        call = {
            "to": self.platform.chain.addresses["solvencyVault"],
            "data": encode_call("debtOf(uint256)", [who.position_id]),
        }
        amount = _part(int(self.platform.chain.rpc("eth_call", call, "latest"), 16), share)
        self.platform.people.repay(who, amount, tip=tip)
        self._mine_if(mined)

    # --- nodes ---

    @rule(node=NODES, blocks=st.sampled_from([1, 2, 3, 4, 20]))
    def node_lags(self, node: str, blocks: int) -> None:
        self.platform.nodes.by_name[node].lag = blocks

    @rule(node=NODES)
    def node_stands_still(self, node: str) -> None:
        self.platform.nodes.by_name[node].stands_at = self.platform.chain.block_number()

    @rule(node=NODES)
    def node_passes_nothing_on(self, node: str) -> None:
        self.platform.nodes.by_name[node].swallows = True

    @rule(node=NODES, lie=st.sampled_from(LIES))
    def node_lies(self, node: str, lie: str) -> None:
        others = [other for name, other in self.platform.nodes.by_name.items() if name != node]
        if not any(other.lies for other in others):
            self.platform.nodes.by_name[node].lies.append(lie)

    @rule()
    def nodes_are_well_again(self) -> None:
        self.platform.nodes.heal()

    # --- strangers ---

    @rule(user=USERS, tip=TIPS, mined=st.booleans())
    def dust(self, user: int, tip: int, mined: bool) -> None:
        self.platform.people.dust(self.platform.stranger, self.platform.chain.users[user], tip=tip)
        self._mine_if(mined)

    # --- the platform's own ---

    @rule()
    def rotate_operator_key(self) -> None:
        self.platform.rotate_operator_key()

    @rule()
    def replace_executor(self) -> None:
        self.platform.replace_executor()

    @rule(quick=st.booleans(), meanwhile=st.sampled_from([MINING, *sorted(WORK)]), place=st.integers(0, 60))
    def reconcile(self, quick: bool, meanwhile: str, place: int) -> None:
        self.platform.reconcile(quick=quick, meanwhile=meanwhile, place=place)

    # --- staff and time ---

    @rule(lender=LENDERS, active=st.sampled_from([True, True, False]))
    def suspend_or_activate(self, lender: int, active: bool) -> None:
        self.platform.suspend(self.platform.lenders[lender], active=active)

    @rule(lender=LENDERS, daily=LIMITS, total=LIMITS)
    def change_limits(self, lender: int, daily: int, total: int) -> None:
        self.platform.limit(self.platform.lenders[lender], daily=daily, total=total)

    @rule(lender=LENDERS)
    def rotate_key(self, lender: int) -> None:
        self.platform.rotate_key(self.platform.lenders[lender])

    @rule()
    def the_day_changes(self) -> None:
        today = clock.today()
        self.platform.pass_time(24 * 3600)
        assert clock.today() != today

    @rule()
    def the_operator_looks(self) -> None:
        self.platform.operator_looks()

    @rule(seconds=st.sampled_from([1, 7, 130]))
    def time_passes(self, seconds: int) -> None:
        self.platform.pass_time(seconds)

    # --- the worker ---

    @rule(what=st.sampled_from(sorted(WORK)), crash_at=CRASHES)
    def work(self, what: str, crash_at: int | None) -> None:
        self.platform.work(what, crash_at=crash_at)

    @rule()
    def a_block_is_settled(self) -> None:
        self.platform.settle_a_block()

    @rule()
    def come_to_rest(self) -> None:
        self.is_sound = False
        self.platform.come_to_rest()

    # --- the chain ---

    @rule(blocks=st.integers(1, 6))
    def mine(self, blocks: int) -> None:
        self.platform.chain.mine(blocks)

    @rule(
        depth=st.integers(1, DEEPEST_REORG),
        falls=st.booleans(),
        ours_come_back=st.booleans(),
        late=st.sampled_from((None, *NAMES)),
    )
    def reorg(self, depth: int, falls: bool, ours_come_back: bool, late: str | None) -> None:
        self.platform.reorg(depth, falls=falls, ours_come_back=ours_come_back, late=late)

    @rule(depth=st.integers(1, DEEPEST_REORG), ours_come_back=st.booleans())
    def nothing_runs_until_a_reorg_is_final(self, depth: int, ours_come_back: bool) -> None:
        self.platform.nothing_runs(depth, ours_come_back=ours_come_back)

    @rule()
    def wipe_pool(self) -> None:
        self.platform.wipe_pool()

    @rule()
    def transactions_revert(self) -> None:
        self.platform.people.pause_for_a_block()

    # --- what there is most of in life ---

    borrow_more = borrow_still_more = borrow  # a rule under another name comes that more often
    repay_more = repay_still_more = repay_pulled
    prove_more = repay_proven
    another_block = one_more_block = a_block_is_settled

    # ---

    def _repay(self, loan: int, share: str, crash_at: int | None, **extra: str) -> None:
        lender, loan_id = self.loans[-1 - loan % len(self.loans)]
        if lender.partner.status != "ACTIVE":
            return
        amount = _part(self.platform.debt(lender, loan_id), share)
        body = {"partnerLoanId": loan_id, "repaymentAmount": str(amount), **extra}
        status: Any = self.platform.repay(lender, body, crash_at=crash_at)
        assert share != "too much" or status != ACCEPTED, f"{amount} was taken"

    def _settle_if(self, settled: bool) -> None:
        if settled:
            self.platform.settle_a_block()

    def _mine_if(self, mined: bool) -> None:
        if mined:
            self.platform.chain.mine()


def _part(debt: int, share: str) -> int:
    """Base units, at least 1."""
    return max({"all": debt, "half": debt // 2, "a unit": 1, "too much": debt + 1}[share], 1)
