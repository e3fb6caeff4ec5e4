"""The flows that are killed: what is there before, what the partner asks, what happens then, how it must end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from django.conf import settings

from chain.models import Operation
from chain.settlement import driver
from chain.states import FINAL_OPERATION_STATES
from loans.models import LoanStatus, PartnerLoan, Repayment, RepaymentStatus
from partner_platform.celery import app
from partner_platform.core.redis import wakeup
from tests.factories import DOLLAR, open_lender
from tests.loans.conftest import PartnerClient
from tests.support.actors import approve_usdc, set_operator, transfer_usdc
from tests.support.chain import Chain

LOAN = 1_000
PART = 400
MONEY_TASKS_EVERY_SECONDS = 5.0  # beat's tasks that run at least so often drive money; the rest are housekeeping
MAX_ROUNDS = 12
ACCEPTED, CONFLICT = 202, 409


@dataclass(frozen=True)
class World:
    """One partner, one user of $50,000 credit, the real chain."""

    chain: Chain
    client: PartnerClient
    memory: dict[str, Any] = field(default_factory=dict)  # what `prepare` leaves for `ask`

    @property
    def user(self) -> Any:
        return self.chain.users[1]

    @property
    def settlement(self) -> str:
        return self.client.partner.settlement_address


@dataclass(frozen=True)
class Flow:
    """`ask` is the request (its status is returned); `between` happens after it and before the worker."""

    name: str
    ask: Callable[[World], int]
    end: Callable[[], object]
    expected: object
    prepare: Callable[[World], object] = lambda _: None
    between: Callable[[World], object] = lambda _: None


def open_world(chain: Chain) -> World:
    app.loader.import_default_modules()  # Celery's tasks, before the first fork
    return World(chain, PartnerClient(*open_lender(chain.world.partners[0].settlement_address)))


def work(chain: Chain) -> None:
    """A worker's life until nothing is open: beat's money tasks in turn; the chain mines whenever the driver sleeps."""
    no_waiting = patch.multiple(driver, POLL_SECONDS=0.0, GATHER_POLL_SECONDS=0.0, QUIET_SECONDS=0.0)
    with no_waiting, patch.object(wakeup, "wait", lambda *_: chain.mine()):
        _work_until_done()


def _work_until_done() -> None:
    for _ in range(MAX_ROUNDS):
        for name in _money_tasks():
            app.tasks[name]()
        if not Operation.objects.exclude(state__in=FINAL_OPERATION_STATES, acknowledged=True).exists():
            return
    raise AssertionError(f"still open after {MAX_ROUNDS} rounds: {list(Operation.objects.all())}")


def _money_tasks() -> list[str]:
    schedule: Any = settings.CELERY_BEAT_SCHEDULE
    often = [entry["task"] for entry in schedule.values() if entry["schedule"] <= MONEY_TASKS_EVERY_SECONDS]
    return [task for task in often if not task.startswith("webhooks.")]  # the sender: test_crash_sender


def _repay(world: World, dollars: int, **extra: str) -> int:
    body = {"partnerLoanId": "loan-1", "repaymentAmount": str(dollars * DOLLAR), **extra}
    return int(world.client.post("/partners/repay", body, **{"Idempotency-Key": "repay-1"}).status_code)


def _borrow_once(world: World) -> int:
    body = {
        "oaidTokenId": world.user.oaid_token_id,
        "userWallet": world.user.wallet,
        "borrowAmount": str(LOAN * DOLLAR),
        "partnerLoanId": "loan-1",
    }
    return int(world.client.post("/partners/borrow", body, **{"Idempotency-Key": "borrow-1"}).status_code)


def _draw(world: World) -> None:
    """An ACTIVE loan, settled in the parent by hand."""
    from loans.services.settle import settle_due

    assert _borrow_once(world) == ACCEPTED
    while driver.drive_once().live:
        world.chain.mine()
    settle_due()
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE


def _send_funds(dollars: int) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        _draw(world)
        platform = world.chain.addresses["executor"]
        world.memory["hash"] = transfer_usdc(world.chain, world.settlement, platform, dollars * DOLLAR)

    return prepare


def _loans() -> list[str]:
    return [loan.status for loan in PartnerLoan.objects.all()]


def _loan_and_repayments() -> tuple[str, int, list[tuple[str, int]]]:
    loan = PartnerLoan.objects.get()
    repayments = [(repayment.status, repayment.amount // DOLLAR) for repayment in Repayment.objects.all()]
    return loan.status, loan.outstanding_principal // DOLLAR, repayments


PAID_IN_PART = (LoanStatus.ACTIVE, LOAN - PART, [(RepaymentStatus.SETTLED, PART)])
PAID_OFF = (LoanStatus.REPAID, 0, [(RepaymentStatus.SETTLED, LOAN)])
NOT_PAID = (LoanStatus.ACTIVE, LOAN, [(RepaymentStatus.FAILED, PART)])

FLOWS = [
    Flow("borrow", _borrow_once, _loans, [LoanStatus.ACTIVE]),
    Flow(
        "borrow-refused-by-the-chain",
        _borrow_once,
        _loans,
        [LoanStatus.FAILED],
        between=lambda world: set_operator(world.chain, world.user, allowed=False),
    ),
    Flow("repay-part-pulled", lambda world: _repay(world, PART), _loan_and_repayments, PAID_IN_PART, _draw),
    Flow("repay-all-pulled", lambda world: _repay(world, LOAN), _loan_and_repayments, PAID_OFF, _draw),
    Flow(
        "repay-part-proven",
        lambda world: _repay(world, PART, repaymentTxHash=world.memory["hash"]),
        _loan_and_repayments,
        PAID_IN_PART,
        _send_funds(PART),
    ),
    Flow(
        "repay-all-proven",
        lambda world: _repay(world, LOAN, repaymentTxHash=world.memory["hash"]),
        _loan_and_repayments,
        PAID_OFF,
        _send_funds(LOAN),
    ),
    Flow(
        "repay-refused-by-the-chain",
        lambda world: _repay(world, PART),
        _loan_and_repayments,
        NOT_PAID,
        _draw,
        between=lambda world: approve_usdc(world.chain, world.settlement, 0),
    ),
]
