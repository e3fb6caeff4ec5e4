"""What an operator is shown before anything is done: the wallet, the chain, and where the two differ.

Reads only. Source: docs/settlement.md, "At three in the morning".
"""

from collections import Counter
from dataclasses import dataclass, field

from django.conf import settings

from chain.lending.fast_codec import Undecodable
from chain.lending.views import View, requests, view
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet, TransactionState
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError
from chain.selectors import is_retired, live_transactions
from chain.settlement.overdue import overdue_operations_query, reported_operations_query
from chain.settlement.reasons import Circumstances
from chain.states import FINAL_OPERATION_STATES

WEI_PER_ETHER = 10**18
SHOWN = 20


@dataclass(frozen=True)
class ChainView:
    """What the chain says of a wallet now; `None` where it could not be asked."""

    head: int
    nonces: dict[str, int]  # by block tag: latest, pending, finalized
    balance_wei: int
    executor_is_paused: bool | None
    is_operator: bool | None
    known_hashes: frozenset[str]


@dataclass(frozen=True)
class WalletReport:
    """The wallet's row, what is under way, what needs review, and the chain's view where it answers.

    Operations belong to the platform, not to one of its wallets: the report of a wallet whose key was rotated away
    lists none. `wallet` is a copy that is never refreshed: the operator's act is guarded by what they saw.
    """

    wallet: PlatformWallet
    live: list[ChainTransaction]
    states: dict[str, int]
    in_review: list[Operation]
    overdue: list[str]  # the first SHOWN operations that are open for long, each with its reason
    overdue_count: int
    reopened: int
    chain: ChainView | None
    trouble: str = ""
    is_retired: bool = False  # its key was rotated away
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for a person."""
        wallet = self.wallet
        lines = [
            f"wallet {wallet.address} on chain {wallet.chain_id}: {wallet.status}"
            + (f", because {wallet.status_reason}" if wallet.status_reason else ""),
            *(["  its key was rotated away: it sends nothing new"] if self.is_retired else []),
            f"  database: next nonce {wallet.next_nonce}, driver {wallet.lease_holder or 'none'}",
            *self._chain_lines(),
            *([] if self.is_retired else [f"  operations: {self._counts()}"]),
            *(f"  {transaction_line(transaction, self.chain)}" for transaction in self.live[:SHOWN]),
            *(f"  to review: {op.kind} {op.key}: {op.reason}" for op in self.in_review[:SHOWN]),
            *(f"  open for long: {line}" for line in self.overdue),
        ]
        if self.overdue_count > len(self.overdue):
            lines.append(f"  open for long: {self.overdue_count - len(self.overdue)} more")
        if wallet.incident:
            lines.append(f"  incident of {wallet.incident_at:%Y-%m-%d %H:%M:%S} UTC: {wallet.incident}")
        return lines + [f"  ! {warning}" for warning in self.warnings]

    def as_json(self) -> dict[str, object]:
        """The report for a program; the chain's part is null where it does not answer."""
        wallet, chain = self.wallet, self.chain
        return {
            "wallet": wallet.address,
            "chainId": wallet.chain_id,
            "status": str(wallet.status),
            "statusReason": wallet.status_reason or None,
            "retired": self.is_retired,
            "nextNonce": wallet.next_nonce,
            "operations": self.states,
            "transactions": [{"nonce": row.nonce, "state": str(row.state)} for row in self.live],
            "inReview": [{"key": row.key, "kind": str(row.kind), "reason": row.reason} for row in self.in_review],
            "openForLong": self.overdue_count,
            "incident": wallet.incident or None,
            "warnings": self.warnings,
            "chain": chain and {"head": chain.head, "nonces": chain.nonces, "gasWei": str(chain.balance_wei)},
        }

    def _counts(self) -> str:
        return ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())) or "none"

    def _chain_lines(self) -> list[str]:
        chain = self.chain
        if chain is None:
            return [f"  chain: does not answer ({self.trouble})"]
        nonces = ", ".join(f"{count} {tag}" for tag, count in chain.nonces.items())
        return [
            f"  chain: head {chain.head}, nonces used: {nonces}; gas money {chain.balance_wei / WEI_PER_ETHER:.6f}",
            f"  executor {settings.PLATFORM_EXECUTOR_ADDRESS}: {_executor(chain)}",
        ]


def inspect_wallet(client: ChainClient, wallet: PlatformWallet) -> WalletReport:
    """Read everything. Does not raise where the chain does not answer: the report says so."""
    wallet = PlatformWallet.objects.get(pk=wallet.pk)
    live, retired = live_transactions(wallet), is_retired(wallet)
    operations = Operation.objects.none() if retired else Operation.objects.all()
    states = Counter(operations.exclude(state__in=FINAL_OPERATION_STATES).order_by().values_list("state", flat=True))
    review = operations.filter(state=OperationState.NEEDS_REVIEW).order_by("created_at", "id")
    view, trouble = None, ""
    try:
        view = _view(client, wallet, live)
    except (ChainUnavailable, RpcError) as error:
        trouble = str(error)
    overdue, overdue_count = ([], 0) if retired else _overdue(wallet, view)
    report = WalletReport(
        wallet=wallet,
        live=live,
        states=dict(states),
        in_review=list(review),
        overdue=overdue,
        overdue_count=overdue_count,
        reopened=operations.filter(reopened__in=[True]).count(),
        chain=view,
        trouble=trouble,
        is_retired=retired,
    )
    report.warnings.extend(_warnings(report))
    return report


def _overdue(wallet: PlatformWallet, view: ChainView | None) -> tuple[list[str], int]:
    """What is open for long, and how many; without the chain, and so without a head, what was reported already."""
    query = overdue_operations_query(view.head, told=(False, True)) if view is not None else reported_operations_query()
    operations = list(query[:SHOWN])
    why = Circumstances.of_wallet(wallet) if operations else None
    lines = [f"{row.key} {row.state}, {why.of_operation(row)}" for row in operations if why is not None]
    return lines, query.count() if len(operations) == SHOWN else len(operations)


def transaction_line(transaction: ChainTransaction, chain: ChainView | None) -> str:
    """A transaction under way, its attempts, and which of them the chain knows."""
    attempts = []
    for attempt in transaction.attempts.all():
        known = (
            "" if chain is None else ", known" if attempt.tx_hash in chain.known_hashes else ", unknown to the chain"
        )
        error = f", {attempt.last_error_class}: {attempt.last_error}" if attempt.last_error_class else ""
        attempts.append(f"{attempt.kind} {attempt.tx_hash} sent {attempt.send_count} times{known}{error}")
    return f"nonce {transaction.nonce} {transaction.state}: {'; '.join(attempts)}"


def _view(client: ChainClient, wallet: PlatformWallet, live: list[ChainTransaction]) -> ChainView:
    tags = ("latest", "pending", "finalized")
    hashes = [attempt.tx_hash for transaction in live for attempt in transaction.attempts.all()]
    count = [("eth_getTransactionCount", [wallet.address, tag]) for tag in tags]
    executor = settings.PLATFORM_EXECUTOR_ADDRESS
    paused = view("PlatformExecutor", executor, "paused")
    allowed = view("PlatformExecutor", executor, "isOperator", wallet.address)
    answers = client.batch(
        [
            ("eth_blockNumber", []),
            ("eth_getBalance", [wallet.address, "latest"]),
            *count,
            *requests([paused, allowed]),
            *[("eth_getTransactionByHash", [tx_hash]) for tx_hash in hashes],
        ]
    )
    head, balance, *rest = answers
    counts, (is_paused, is_allowed), found = rest[:3], rest[3:5], rest[5:]
    return ChainView(
        head=int(head, 16),
        nonces={tag: int(answer, 16) for tag, answer in zip(tags, counts, strict=True) if isinstance(answer, str)},
        balance_wei=int(balance, 16),
        executor_is_paused=_as_bool(paused, is_paused),
        is_operator=_as_bool(allowed, is_allowed),
        known_hashes=frozenset(
            tx_hash for tx_hash, answer in zip(hashes, found, strict=True) if isinstance(answer, dict)
        ),
    )


def _warnings(report: WalletReport) -> list[str]:
    wallet, chain = report.wallet, report.chain
    found = []
    if wallet.scan_pending:
        found.append("the database was restored: the next driver compares every open operation with the chain first")
    if report.reopened:
        found.append(f"{report.reopened} operations were undone by a reorg and their owners have not acted on that yet")
    if chain is None:
        return found
    if chain.nonces.get("latest", 0) > wallet.next_nonce:
        found.append("the chain used nonces that the database does not know")
    if not report.is_retired:
        found += _executor_warnings(chain)
    if chain.balance_wei == 0 and (report.live or not report.is_retired):
        found.append("there is no gas money")
    if any(transaction.state == TransactionState.SIGNED for transaction in report.live):
        found.append("a stored transaction was not taken by any node yet")
    return found


def _executor_warnings(chain: ChainView) -> list[str]:
    found = []
    if chain.executor_is_paused:
        found.append("the executor is paused: its owner must unpause it")
    if chain.is_operator is False:
        found.append("the executor does not know this wallet as an operator: its owner must set it")
    return found


def _executor(chain: ChainView) -> str:
    if chain.executor_is_paused is None or chain.is_operator is None:
        return "does not answer"
    state = "paused" if chain.executor_is_paused else "working"
    return f"{state}, this wallet {'may' if chain.is_operator else 'may not'} send bundles"


def _as_bool(asked: View, answer: object) -> bool | None:
    """None where a node refused, or there is no such contract."""
    try:
        return bool(asked.value(answer))
    except Undecodable:
        return None
