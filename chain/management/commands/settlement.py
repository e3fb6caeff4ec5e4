"""`manage.py settlement`: for the operator when something needs review. Every action shows the state before it acts.

Each concerns the wallet of the configured key, or the one that `--wallet` names: a wallet whose key was rotated away is
put right under its own address.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand, add_acting_options, add_reason_option
from chain import selectors
from chain.management.owner import address_of
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet
from chain.operators import inspection, operating, review
from chain.operators.review import DecisionRefused, Evidence
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.settlement.engine import Engine
from chain.states import IN_FLIGHT_STATES
from chain.wallet.lease import LeaseLost
from chain.wallet.signer import SignerUnavailable
from chain.wallet.wallets import platform_wallet

# What each act is done by; `review` shows, and acts where a decision is given.
ACTS: dict[str, Callable[..., object]] = {
    "freeze": operating.freeze_by_operator,
    "unfreeze": operating.unfreeze_by_operator,
    "resend": operating.resend_by_operator,
    "noop": operating.send_noop_by_operator,
    "review": review.fail_operation,
}
DECISIONS = ("adopt", "fail", "requeue", "incident_seen")


class Command(StaffCommand):
    """Reads chain and database, explains, asks, acts, records who did it."""

    help = "Look at the settlement engine and put right what needs a person (docs/settlement.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        status = actions.add_parser("status", help="the wallets, what is under way, what waits for a person")
        _of_one_wallet(status, default="the platform's, and each other one that needs attention")
        freeze = _acting(actions.add_parser("freeze", help="send nothing new; what is under way is still followed"))
        freeze.add_argument("reason", help="for those who come after you")
        unfreeze = _acting(actions.add_parser("unfreeze", help="send again, once what froze it is gone"))
        add_reason_option(unfreeze)
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

    def changes(self, options: Mapping[str, object]) -> bool:
        if options["action"] == "review":
            return any(options[decision] for decision in DECISIONS)
        return options["action"] != "status"

    def act(self, *, action: str, **options: Any) -> None:
        if self.changes({"action": action, **options}):
            self.require_right_of(ACTS[action])
        try:
            if action == "status":
                self._status(options["wallet"])
                return
            wallet = _wallet(options["wallet"])
            getattr(self, f"_{action}")(wallet, options)
            if self.as_json and (action != "review" or options["incident_seen"]):
                self.show({"wallets": [inspection.inspect_wallet(get_client(), wallet).as_json()]})
        except DecisionRefused as refusal:
            raise CommandError(f"refused: {refusal}") from refusal
        except (ChainUnavailable, RpcError) as error:
            raise CommandError(f"the chain does not answer, nothing was done: {error}") from error
        except LeaseLost as error:
            raise CommandError(f"another driver took the lease, nothing was done: {error}") from error
        except SignerUnavailable as error:
            raise CommandError(str(error)) from error

    def _status(self, address: str | None) -> None:
        reports = [inspection.inspect_wallet(get_client(), wallet) for wallet in _shown_by_status(address)]
        self.show(
            {"wallets": [report.as_json() for report in reports]}, *("\n".join(report.lines()) for report in reports)
        )

    def _freeze(self, wallet: PlatformWallet, options: Mapping[str, Any]) -> None:
        self._show(wallet)
        self.confirm("Freeze it? Accepted loans wait until it is unfrozen.", yes=bool(options["yes"]))
        operating.freeze_by_operator(wallet, actor=self.actor, reason=options["reason"])
        self.say(f"frozen: {options['reason']}")

    def _unfreeze(self, wallet: PlatformWallet, options: Mapping[str, object]) -> None:
        report = self._show(wallet)
        retired = "Its key was rotated away: it sends nothing new."
        what = retired if report.is_retired else "Queued operations go out at once."
        self.confirm(f"Unfreeze it? {what}", yes=bool(options["yes"]))
        operating.unfreeze_by_operator(report, actor=self.actor)
        self.say("active")

    def _resend(self, wallet: PlatformWallet, options: Mapping[str, object]) -> None:
        report = self._show(wallet)
        nonce = options["nonce"]
        chosen = [row for row in report.live if row.state in IN_FLIGHT_STATES and nonce in (None, row.nonce)]
        if not chosen:
            raise DecisionRefused("no such transaction is under way")
        self.confirm(
            f"Send {len(chosen)} stored transactions again? The same bytes, so nothing is done twice.",
            yes=bool(options["yes"]),
        )
        with operating.operator_lease(get_client(), wallet) as engine:
            operating.resend_by_operator(engine, chosen, actor=self.actor)
        for transaction in live_rows(chosen):
            self.say(inspection.transaction_line(transaction, None))

    def _noop(self, wallet: PlatformWallet, options: Mapping[str, Any]) -> None:
        self._show(wallet)
        mine = ChainTransaction.objects.filter(wallet=wallet, nonce=options["nonce"]).prefetch_related("attempts")
        transaction = mine.first()
        if transaction is None:
            raise DecisionRefused("the database has no such nonce; gaps below its counter are closed by the driver")
        self.say(inspection.transaction_line(transaction, None))
        self.confirm(
            f"Let a noop take nonce {transaction.nonce}? Whichever of the two is mined, its"
            f" {transaction.operations.count()} operations are done once: by the payload, or queued again.",
            yes=bool(options["yes"]),
        )
        with operating.operator_lease(get_client(), wallet) as engine:
            operating.send_noop_by_operator(engine, transaction, actor=self.actor)
        [row] = live_rows([transaction])
        self.say(inspection.transaction_line(row, None))

    def _review(self, wallet: PlatformWallet, options: Mapping[str, object]) -> None:
        if options["incident_seen"]:
            report = self._show(wallet)
            self.confirm("Note that the incident was read?", yes=bool(options["yes"]))
            operating.incident_seen(report, actor=self.actor)
            return
        if selectors.is_retired(wallet):
            raise DecisionRefused("operations are the platform's, whichever wallet carried them: leave --wallet out")
        operations = Operation.objects.filter(state=OperationState.NEEDS_REVIEW).order_by("created_at", "id")
        if options["key"]:
            operations = Operation.objects.filter(key=options["key"])
        if not operations:
            self.show({"operations": []}, "there is no such operation" if options["key"] else "nothing needs review")
            return
        shown: list[Evidence] = []
        with operating.operator_lease(get_client(), wallet) as engine:
            for operation in operations:
                shown.append(review.gather_evidence(engine, operation))
                self.say("\n".join(shown[-1].lines()))
        if not (options["adopt"] or options["fail"] or options["requeue"]):
            self.show({"operations": [_evidence_json(evidence) for evidence in shown]})
            return
        if not options["key"]:
            raise DecisionRefused("decide about one operation at a time: name its key")
        self.confirm(_question(options), yes=bool(options["yes"]))
        # The lease does not wait for a person: it is taken anew, and what was shown must still be so.
        with operating.operator_lease(get_client(), wallet) as engine:
            evidence = review.gather_evidence(engine, shown[0].operation)
            review.require_same(shown[0], evidence)
            self._decide(engine, evidence, options)

    def _decide(self, engine: Engine, evidence: Evidence, options: Mapping[str, Any]) -> None:
        if options["adopt"]:
            review.adopt_operation(engine, evidence, actor=self.actor, without_proof=options["without_proof"])
        elif options["fail"]:
            review.fail_operation(engine, evidence, actor=self.actor, reason=options["fail"])
        else:
            review.requeue_operation(engine, evidence, actor=self.actor)
        decided = Operation.objects.get(key=evidence.operation.key)
        self.show({"operations": [{"key": decided.key, "state": decided.state}]}, f"{decided.key} is {decided.state}")

    def _show(self, wallet: PlatformWallet) -> inspection.WalletReport:
        report = inspection.inspect_wallet(get_client(), wallet)
        self.say("\n".join(report.lines()))
        return report


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


def _evidence_json(evidence: Evidence) -> dict[str, object]:
    operation = evidence.operation
    return {"key": operation.key, "state": operation.state, "reason": operation.reason, "evidence": evidence.lines()}


def _question(options: Mapping[str, object]) -> str:
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
    add_acting_options(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _of_one_wallet(parser, default="that of the configured key")
    return parser


def _of_one_wallet(parser: ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--wallet", metavar="ADDRESS", help=f"the wallet that is meant, one whose key was rotated away too ({default})"
    )
