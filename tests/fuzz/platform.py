"""The platform in one process: partners' requests, the worker's tasks, their crashes, the passing of time."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django_redis import get_redis_connection

from chain.lending.encoding import encode_call
from chain.lending.readings import executed_view
from chain.models import Operation, OperationState, PlatformWallet, TransactionAttempt, WalletStatus
from chain.operators import operating, review
from chain.operators.inspection import inspect_wallet
from chain.rpc.clients import ChainUnavailable, get_client
from chain.settlement import driver
from chain.states import FINAL_OPERATION_STATES
from chain.wallet.wallets import platform_wallet
from loans import tasks
from loans.models import PartnerLoan
from loans.reconciliation.run import reconcile
from partner_platform.core import clock
from partners import services
from partners.models import Partner, PartnerDailyUsage
from sandbox.servers.anvil import NodeRefused
from sandbox.world import SandboxPartner, SandboxUser
from tests.crash.processes import run
from tests.fuzz.branches import Branch
from tests.fuzz.nodes import Nodes
from tests.fuzz.people import People
from tests.support.between_reads import between_reads
from tests.support.chain import FINAL_AFTER_BLOCKS, Chain
from tests.support.clocks import SteppedClock
from tests.support.invariants import Invariants
from tests.support.snapshots import RESTART_SECONDS, Snapshot

BEGIN = dt.datetime(2026, 1, 5, 22, 0, tzinfo=dt.UTC)
ACCEPTED = 202
REFUSALS = (400, 401, 403, 404, 409, 422, 503)  # in order; a 500 never is
EXECUTOR_IS_PAUSED = "the executor refuses bundles: EnforcedPause()"
REPLACED = "the replaced executor"
ROUNDS_TO_REST = 16
DEEPEST_REORG = 3  # a head that fell must rise again before what stood there is known to be gone
MINING = "mine"
WORK: dict[str, Callable[[], object]] = {
    "drive": driver.drive_once,
    "settle": tasks.settle_loans,
    "follow": tasks.follow_chain,
}


@dataclass
class Lender:
    """A partner as its backend knows it."""

    pk: Any
    key: str
    account: SandboxPartner

    @property
    def partner(self) -> Partner:
        return Partner.objects.get(pk=self.pk)


@dataclass
class Platform:
    """One history on a world that every history begins with."""

    chain: Chain
    nodes: Nodes
    snapshot: Snapshot
    invariants: Invariants
    opened: list[Lender]  # as every history finds them
    stranger: SandboxPartner
    executors: tuple[str, ...]  # each history begins with the first executor and the first key
    keys: tuple[str, ...]
    counts: Counter[str]

    def begin(self) -> None:
        self.nodes.heal()
        self.snapshot.restore()
        self.clock = SteppedClock(BEGIN)
        self.clock.start()
        self.lenders = [replace(lender) for lender in self.opened]
        self.people = People(self.chain)
        self._use(key=self.keys[0], executor=self.executors[0])
        self.http = Client(raise_request_exception=False)
        self.numbers = 0
        self.first_block = self.chain.begin_history()  # no reorg goes below it

    # --- requests ---

    def borrow(self, lender: Lender, user: SandboxUser, amount: int, *, crash_at: int | None) -> str | None:
        """The new loan's id where it was accepted."""
        self.numbers += 1
        loan_id = f"loan-{self.numbers}"
        body = {
            "oaidTokenId": user.oaid_token_id,
            "userWallet": user.wallet,
            "borrowAmount": str(amount),
            "partnerLoanId": loan_id,
        }
        status = self._post(lender, "/partners/borrow", body, crash_at=crash_at)
        if status != ACCEPTED:
            return None
        self._check_limits(lender, user)
        return loan_id

    def repay(self, lender: Lender, body: dict[str, str], *, crash_at: int | None) -> int:
        self.numbers += 1
        return self._post(lender, "/partners/repay", body, crash_at=crash_at)

    def debt(self, lender: Lender, loan_id: str) -> int:
        answer = self._call(lender, "GET", f"/partners/loan/{loan_id}")
        return int(answer.json()["remainingDebt"])

    def _post(self, lender: Lender, path: str, body: dict[str, Any], *, crash_at: int | None) -> int:
        """The status; after a crash that of the same request once more, with the same idempotency key."""
        key = f"request-{self.numbers}"
        if crash_at is not None and self._crashes(lambda: self._call(lender, "POST", path, body, key), crash_at):
            self.counts["crashes of web"] += 1
        answer = self._call(lender, "POST", path, body, key)
        self.counts[f"{path.rpartition('/')[2]} {answer.status_code}"] += 1
        assert answer.status_code == ACCEPTED or answer.status_code in REFUSALS, (answer.status_code, answer.content)
        return int(answer.status_code)

    def _call(self, lender: Lender, method: str, path: str, body: Any = None, key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {lender.key}", "Prefer": "respond-async"}
        if key:
            headers["Idempotency-Key"] = key
        data = json.dumps(body) if body is not None else ""
        return self.http.generic(method, path, data, content_type="application/json", headers=headers)

    def _check_limits(self, lender: Lender, user: SandboxUser) -> None:
        """M1, at the moment in which something was accepted; the OAID's credit as of the chain's newest block."""
        partner = lender.partner
        assert partner.current_outstanding <= partner.total_borrow_limit, "M1: total limit"
        used = PartnerDailyUsage.objects.get(partner=partner, day=clock.today()).borrowed
        assert used <= partner.daily_borrow_limit, "M1: daily limit"
        call = {"to": self.chain.addresses["oaid"], "data": encode_call("getCreditLine(uint256)", [user.oaid_token_id])}
        line = self.chain.rpc("eth_call", call, "latest")[2:]
        limit, drawn = int(line[:64], 16), int(line[64:128], 16)
        loans = PartnerLoan.objects.filter(oaid_token_id=user.oaid_token_id).select_related("borrow_operation")
        waiting = [loan for loan in loans if loan.borrow_operation.state not in FINAL_OPERATION_STATES]
        done = self._executed([loan.borrow_operation for loan in waiting])
        coming = sum(loan.principal_amount for loan in waiting if loan.borrow_operation.uid not in done)
        assert drawn + coming <= limit, f"M1: {drawn} drawn, {coming} accepted, of {limit}"

    def _executed(self, operations: list[Operation]) -> set[str]:
        """The uids that the chain has executed by now, whatever our endpoints say."""
        found = set()
        for operation in operations:
            method, params = executed_view(operation.executor, operation.uid).request()
            if int(self.chain.rpc(method, *params), 16):
                found.add(operation.uid)
        return found

    # --- the worker ---

    def work(self, what: str, *, crash_at: int | None = None) -> None:
        if crash_at is None:
            self._try(WORK[what])
        elif self._crashes(WORK[what], crash_at):
            self.counts[f"crashes of {what}"] += 1

    def _try(self, body: Callable[[], object]) -> None:
        """As beat has it: what the chain's nodes stand against is tried again later."""
        try:
            body()
        except ChainUnavailable:
            self.counts["put off by nodes"] += 1

    def settle_a_block(self) -> None:
        """The usual course: sent, mined, settled, followed."""
        self.work("drive")
        self.chain.mine()
        for what in ("drive", "settle", "follow"):
            self.work(what)

    def _crashes(self, body: Callable[[], object], crash_at: int) -> bool:
        """Run it in a process that is killed at its point `crash_at`; one that ends before has done it all."""
        killed = run(lambda: _until_done(body), kill_at=crash_at).killed
        self.pass_time(RESTART_SECONDS)
        return killed

    def pass_time(self, seconds: float) -> None:
        """On the platform's clock, and for what expires in Redis."""
        self.clock.pass_time(seconds)
        redis = get_redis_connection("default")
        for key in redis.keys():  # noqa: SIM118 - not a dict
            if (left := redis.pttl(key)) >= 0:
                redis.pexpire(key, max(left - int(seconds * 1000), 0))

    def come_to_rest(self) -> None:
        """Everything goes on without a fault until nothing is open; then M7 holds too."""
        self.nodes.heal()
        for done in range(1, ROUNDS_TO_REST + 1):
            self.people.come_back()  # in each round: anvil was seen to lose what was in its pool
            self.pass_time(RESTART_SECONDS)
            self.operator_looks()
            live = driver.drive_once().live
            self.chain.mine()
            live = driver.drive_once().live or live
            tasks.settle_loans()
            tasks.follow_chain()
            tasks.settle_loans()
            self.reconcile(quick=bool(done % 2), meanwhile=MINING, place=0)
            if done > DEEPEST_REORG and not live and not self._is_open():
                break
        demand(self.invariants.violations_at_rest())

    def _is_open(self) -> bool:
        reviewed = OperationState.NEEDS_REVIEW
        open_ones = Operation.objects.exclude(state__in=FINAL_OPERATION_STATES, acknowledged__in=[True])
        return open_ones.exclude(state=reviewed).exists()

    def reconcile(self, *, quick: bool, meanwhile: str, place: int) -> None:
        """It may freeze and repair: of healthy books it finds nothing, whatever happens between two of its reads."""
        act = self.chain.mine if meanwhile == MINING else lambda: self.work(meanwhile)

        def run() -> None:
            report = reconcile(freeze=True, repair=True, quick=quick)
            self.counts[f"reconciled {'in full' if report.is_full else 'quickly'}"] += 1
            demand([f"reconciliation: {sighting}" for sighting in report.sightings])
            demand([f"reconciliation: {name} was frozen" for name in (*report.frozen, *report.repaired)])

        with (
            pytest.MonkeyPatch.context() as patched,
            between_reads(patched, lambda point: act if point == place else None),
        ):
            self._try(run)

    # --- the platform's own ---

    def rotate_operator_key(self) -> None:
        """The other key signs from now on; this one is known as a retired one."""
        index = self.keys.index(settings.PLATFORM_PRIVATE_KEY)
        self._use(key=self.keys[index - 1], executor=settings.PLATFORM_EXECUTOR_ADDRESS)
        self.counts["key rotations"] += 1

    def replace_executor(self) -> None:
        """Operations are promised to the other executor from now on."""
        index = self.executors.index(settings.PLATFORM_EXECUTOR_ADDRESS)
        self._use(key=settings.PLATFORM_PRIVATE_KEY, executor=self.executors[index - 1])
        self.counts["executors replaced"] += 1

    def _use(self, *, key: str, executor: str) -> None:
        settings.PLATFORM_PRIVATE_KEY = key
        settings.PLATFORM_RETIRED_PRIVATE_KEYS = [other for other in self.keys if other != key]
        settings.PLATFORM_EXECUTOR_ADDRESS = executor
        self.people.turn_to(executor)

    # --- staff ---

    def operator_looks(self) -> None:
        """Who is woken by a frozen wallet unfreezes it once the executor runs again; it may freeze for nothing else.

        A reorg can take the owner's `unpause` back to the pool: who then sends the next bundle finds the executor
        paused (F44).
        """
        for wallet in PlatformWallet.objects.filter(status=WalletStatus.FROZEN):
            self._look_at_frozen(wallet)
        for operation in Operation.objects.filter(state=OperationState.NEEDS_REVIEW):
            if operation.reason.startswith(REPLACED):
                with operating.operator_lease(get_client(), platform_wallet(get_client())) as engine:
                    review.requeue_operation(engine, review.gather_evidence(engine, operation), actor="test")
                self.counts["operations queued again"] += 1

    def _look_at_frozen(self, wallet: PlatformWallet) -> None:
        assert wallet.status_reason == EXECUTOR_IS_PAUSED, f"M7: the wallet froze: {wallet.status_reason}"
        report = inspect_wallet(get_client(), wallet)
        if not report.chain.executor_is_paused:
            operating.unfreeze_by_operator(report, actor="test")
            self.counts["wallets unfrozen"] += 1

    def rotate_key(self, lender: Lender) -> None:
        old = replace(lender)
        lender.key = services.rotate_api_key(partner=lender.partner, actor="test")
        assert self._call(old, "GET", "/partners/loan/none").status_code == 401

    def suspend(self, lender: Lender, *, active: bool) -> None:
        change = services.activate_partner if active else services.suspend_partner
        change(partner=lender.partner, actor="test")

    def limit(self, lender: Lender, *, daily: int, total: int) -> None:
        limits = {"daily_borrow_limit": str(daily), "total_borrow_limit": str(total)}
        services.update_partner(partner=lender.partner, actor="test", **limits)

    # --- the chain ---

    def reorg(self, depth: int, *, falls: bool, ours_come_back: bool, late: str | None = None) -> None:
        """The newest blocks are replaced by empty ones, or are gone; what others sent is in the pool again.

        The endpoint `late` is on the old branch until it is healed.
        """
        depth = min(depth, self.chain.block_number() - self.first_block)
        if depth == 0:
            return
        if late is not None:
            self.nodes.by_name[late].branch = Branch.newest_of(self.chain, depth)
        self.counts["reorgs"] += 1
        if falls:
            self.chain.rpc("anvil_rollback", depth)
        else:
            self.chain.rpc("anvil_reorg", depth, [])
        self.people.come_back()
        if ours_come_back:
            self._resend_ours()

    def _resend_ours(self) -> None:
        for raw in TransactionAttempt.objects.order_by("created_at").values_list("raw", flat=True):
            try:
                self.chain.rpc("eth_sendRawTransaction", raw)
            except NodeRefused:
                continue  # mined, known, or another attempt of its nonce is there

    def nothing_runs(self, depth: int, *, ours_come_back: bool) -> None:
        """A reorg, and then so many blocks that the new branch is final before any process of ours looks again."""
        self.reorg(depth, falls=True, ours_come_back=ours_come_back)
        self.chain.mine(FINAL_AFTER_BLOCKS + DEEPEST_REORG)
        self.first_block = max(self.first_block, self.chain.block_number() - DEEPEST_REORG)

    def wipe_pool(self) -> None:
        self.chain.rpc("anvil_dropAllTransactions")
        self.people.come_back()


def demand(violations: list[str]) -> None:
    """Fail with all that is wrong."""
    if violations:
        raise AssertionError("\n".join(violations))


def _until_done(body: Callable[[], object]) -> None:
    """A process has no result; what the chain's nodes stand against ends it."""
    with suppress(ChainUnavailable):
        body()
