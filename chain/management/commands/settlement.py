"""`manage.py settlement`: for the operator when something needs review. Every action shows the state before it acts.

Each concerns the wallet of the configured key, or the one that `--wallet` names: a wallet whose key was rotated away is
put right under its own address.
"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chain import selectors
from chain.management.owner import actor, address_of
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet
from chain.operators import inspection, operating, review
from chain.operators.review import DecisionRefused, Evidence
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.settlement.engine import Engine
from chain.states import IN_FLIGHT_STATES
from chain.wallet.lease import LeaseLost
from chain.wallet.signer import SignerUnavailable
from chain.wallet.wallets import platform_wallet


class Command(BaseCommand):
    """Reads chain and database, explains, asks, acts, records who did it."""

    help = "Look at the settlement engine and put right what needs a person (docs/settlement.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        status = actions.add_parser("status", help="the wallets, what is under way, what waits for a person")
        _of_one_wallet(status, default="the platform's, and each other one that needs attention")
        freeze = _acting(actions.add_parser("freeze", help="send nothing new; what is under way is still followed"))
        freeze.add_argument("reason", help="for those who come after you")
        _acting(actions.add_parser("unfreeze", help="send again, once what froze it is gone"))
        resend = _acting(actions.add_parser("resend", help="send stored transactions again, the same bytes"))
        resend.add_argument("--nonce", type=int, help="only this one")
        noop = _acting(actions.add_parser("noop", help="let a transaction that does nothing take a nonce"))
        noop.add_argument("nonce", type=int)
        decide = _acting(actions.add_parser("review", help="decide about operations that need a person"))
        decide.add_argument("key", nargs="?", help="the operation's key, such as borrow:…; without it all are shown")
        choice = decide.add_mutually_exclusive_group()
        choice.add_argument("--adopt", action="store_true", help="the chain executed it: confirm it with its own logs")
        choice.add_argument("--fail", metavar="REASON", help="it is not done and will not be: its owner gives back")
        choice.add_argument("--requeue", action="store_true", help="do it after all, under a new nonce")
        choice.add_argument("--incident-seen", action="store_true", help="the wallet's incidents have been read")
        decide.add_argument("--without-proof", action="store_true", help="with --adopt: although expected logs miss")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            if action == "status":
                self._status(options["wallet"])
            else:
                getattr(self, f"_{action}")(_wallet(options["wallet"]), options)
        except DecisionRefused as refusal:
            raise CommandError(f"refused: {refusal}") from refusal
        except (ChainUnavailable, RpcError) as error:
            raise CommandError(f"the chain does not answer, nothing was done: {error}") from error
        except LeaseLost as error:
            raise CommandError(f"another driver took the lease, nothing was done: {error}") from error
        except SignerUnavailable as error:
            raise CommandError(str(error)) from error

    def _status(self, address: str | None) -> None:
        for wallet in _shown_by_status(address):
            self._show(wallet)

    def _freeze(self, wallet: PlatformWallet, options: dict[str, Any]) -> None:
        self._show(wallet)
        self._confirm("Freeze it? Accepted loans wait until it is unfrozen.", options)
        operating.freeze_by_operator(wallet, actor=actor(), reason=options["reason"])
        self.stdout.write(f"frozen: {options['reason']}")

    def _unfreeze(self, wallet: PlatformWallet, options: dict[str, object]) -> None:
        report = self._show(wallet)
        retired = "Its key was rotated away: it sends nothing new."
        self._confirm(f"Unfreeze it? {retired if report.is_retired else 'Queued operations go out at once.'}", options)
        operating.unfreeze_by_operator(report, actor=actor())
        self.stdout.write("active")

    def _resend(self, wallet: PlatformWallet, options: dict[str, object]) -> None:
        report = self._show(wallet)
        nonce = options["nonce"]
        chosen = [row for row in report.live if row.state in IN_FLIGHT_STATES and nonce in (None, row.nonce)]
        if not chosen:
            raise DecisionRefused("no such transaction is under way")
        self._confirm(
            f"Send {len(chosen)} stored transactions again? The same bytes, so nothing is done twice.", options
        )
        with operating.operator_lease(get_client(), wallet) as engine:
            operating.resend_by_operator(engine, chosen, actor=actor())
        for transaction in live_rows(chosen):
            self.stdout.write(inspection.transaction_line(transaction, None))

    def _noop(self, wallet: PlatformWallet, options: dict[str, Any]) -> None:
        self._show(wallet)
        mine = ChainTransaction.objects.filter(wallet=wallet, nonce=options["nonce"]).prefetch_related("attempts")
        transaction = mine.first()
        if transaction is None:
            raise DecisionRefused("the database has no such nonce; gaps below its counter are closed by the driver")
        self.stdout.write(inspection.transaction_line(transaction, None))
        self._confirm(
            f"Let a noop take nonce {transaction.nonce}? Whichever of the two is mined, its"
            f" {transaction.operations.count()} operations are done once: by the payload, or queued again.",
            options,
        )
        with operating.operator_lease(get_client(), wallet) as engine:
            operating.send_noop_by_operator(engine, transaction, actor=actor())
        [row] = live_rows([transaction])
        self.stdout.write(inspection.transaction_line(row, None))

    def _review(self, wallet: PlatformWallet, options: dict[str, object]) -> None:
        if options["incident_seen"]:
            report = self._show(wallet)
            self._confirm("Note that the incident was read?", options)
            operating.incident_seen(report, actor=actor())
            return
        if selectors.is_retired(wallet):
            raise DecisionRefused("operations are the platform's, whichever wallet carried them: leave --wallet out")
        operations = Operation.objects.filter(state=OperationState.NEEDS_REVIEW).order_by("created_at", "id")
        if options["key"]:
            operations = Operation.objects.filter(key=options["key"])
        if not operations:
            self.stdout.write("nothing needs review" if not options["key"] else "there is no such operation")
            return
        shown = []
        with operating.operator_lease(get_client(), wallet) as engine:
            for operation in operations:
                shown.append(review.gather_evidence(engine, operation))
                self.stdout.write("\n".join(shown[-1].lines()))
        if not (options["adopt"] or options["fail"] or options["requeue"]):
            return
        if not options["key"]:
            raise DecisionRefused("decide about one operation at a time: name its key")
        self._confirm(_question(options), options)
        # The lease does not wait for a person: it is taken anew, and what was shown must still be so.
        with operating.operator_lease(get_client(), wallet) as engine:
            evidence = review.gather_evidence(engine, shown[0].operation)
            review.require_same(shown[0], evidence)
            self._decide(engine, evidence, options)

    def _decide(self, engine: Engine, evidence: Evidence, options: dict[str, Any]) -> None:
        if options["adopt"]:
            review.adopt_operation(engine, evidence, actor=actor(), without_proof=options["without_proof"])
        elif options["fail"]:
            review.fail_operation(engine, evidence, actor=actor(), reason=options["fail"])
        else:
            review.requeue_operation(engine, evidence, actor=actor())
        key = evidence.operation.key
        self.stdout.write(f"{key} is {Operation.objects.get(key=key).state}")

    def _show(self, wallet: PlatformWallet) -> inspection.WalletReport:
        report = inspection.inspect_wallet(get_client(), wallet)
        self.stdout.write("\n".join(report.lines()))
        return report

    def _confirm(self, question: str, options: dict[str, object]) -> None:
        if options["yes"]:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Say --yes.")
        if input(f"{question} [yes/no] ").strip().lower() != "yes":
            raise CommandError("nothing was done")


def _shown_by_status(address: str | None) -> list[PlatformWallet]:
    """The platform's wallet, then others that need attention; all of them where no key is configured."""
    if address:
        return [_wallet(address)]
    try:
        platforms = platform_wallet(get_client())
    except SignerUnavailable:
        wallets = selectors.wallets_of_the_chain()
        if not wallets:
            raise
        return wallets
    return [platforms, *(wallet for wallet in selectors.wallets_to_look_at() if wallet.pk != platforms.pk)]


def _wallet(address: str | None) -> PlatformWallet:
    """The wallet that `--wallet` names, the platform's without it; `CommandError` where there is none."""
    known = {wallet.address: wallet for wallet in selectors.wallets_of_the_chain()}
    if address:
        named = known.get(address_of("--wallet", address))
        if named is None:
            names = ", ".join(known) or "none"
            raise CommandError(f"--wallet: {address} is no wallet on chain {settings.CHAIN_ID}; known: {names}")
        return named
    try:
        return platform_wallet(get_client())
    except SignerUnavailable as error:
        if not known:
            raise
        raise CommandError(f"{error}: say which wallet is meant with --wallet ({', '.join(known)})") from error


def _question(options: dict[str, object]) -> str:
    key = options["key"]
    if options["adopt"]:
        return f"Adopt {key} as executed? Its owner books it as done."
    if options["fail"]:
        return f"Declare {key} failed? Its owner releases what it holds."
    return f"Queue {key} again? It is sent under a new nonce; its uid runs at most once."


def live_rows(transactions: list[ChainTransaction]) -> list[ChainTransaction]:
    """The rows as they are now, with their attempts."""
    rows = ChainTransaction.objects.filter(pk__in=[transaction.pk for transaction in transactions])
    return list(rows.order_by("nonce").prefetch_related("attempts"))


def _acting(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _of_one_wallet(parser, default="that of the configured key")
    return parser


def _of_one_wallet(parser: ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--wallet", metavar="ADDRESS", help=f"the wallet that is meant, one whose key was rotated away too ({default})"
    )
