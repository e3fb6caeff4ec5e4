"""`manage.py rotate_operator_key`: another key signs from now on, and nothing that the old one sent is lost."""

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from chain.lending.deployment import DeploymentFailed
from chain.lending.encoding import Call
from chain.management.owner import add_owner_arguments, address_of, have_signed
from chain.operators import rotation
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.selectors import executor_addresses
from chain.wallet.signer import signing_address

WEI_PER_ETHER = 10**18


class Command(StaffCommand):
    """Two calls: one before the settings change, one after it."""

    help = (
        "Let the executors take bundles of a new key (NEW), and after the settings have changed no longer those of the"
        " old one (--retire OLD). docs/settlement.md has the drill."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("new", nargs="?", help="address of the key that is to sign")
        parser.add_argument("--retire", metavar="OLD", help="address of the key that signs no longer")
        parser.add_argument("--compromised", action="store_true", help="with --retire: do not wait for what it sent")
        add_owner_arguments(parser)

    def act(self, *, new: str | None, retire: str | None, **options: object) -> None:
        self.require_right_of(rotation.record_rotation)
        if bool(new) == bool(retire):
            raise CommandError("Name the new key's address, or --retire the old one's.")
        try:
            if new:
                self._allow(address_of("NEW", new), options)
            else:
                self._retire(address_of("--retire", str(retire)), options)
        except rotation.RotationRefused as refusal:
            raise CommandError(f"refused: {refusal}") from refusal
        except (ChainUnavailable, RpcError, DeploymentFailed) as error:
            raise CommandError(str(error)) from error

    def _allow(self, new: str, options: Mapping[str, object]) -> None:
        in_use = rotation.executors_in_use()
        calls = rotation.set_operator_calls(new, allowed=True, executors=in_use)
        is_done = have_signed(self, calls, options)
        if is_done:
            rotation.record_rotation("settlement.key_allowed", f"wallet:{new}", actor=self.actor, executors=in_use)
            self.say(f"{new} may send bundles to {', '.join(in_use)}")
        money = rotation.gas_money(get_client(), new) / WEI_PER_ETHER
        self.say(f"gas money of {new}: {money:.6f}" + ("" if money else ": send it some first"))
        self.say(
            "then, where transactions are signed: PLATFORM_PRIVATE_KEY = the new key, PLATFORM_RETIRED_PRIVATE_KEYS ="
            f" the old one ({signing_address() or 'none here'}); restart the workers;"
            f" manage.py rotate_operator_key --retire {signing_address() or 'OLD'} --as {self.actor.username}"
        )
        self._show_state("allowed", new, in_use, [] if is_done else calls)

    def _retire(self, old: str, options: Mapping[str, object]) -> None:
        rotation.require_key_is_unused(old, is_compromised=bool(options["compromised"]))
        calls = rotation.set_operator_calls(old, allowed=False, executors=executor_addresses())
        is_done = have_signed(self, calls, options)
        if is_done:
            rotation.record_rotation(
                "settlement.key_retired", f"wallet:{old}", actor=self.actor, compromised=options["compromised"]
            )
            self.say(f"no executor on chain {settings.CHAIN_ID} takes bundles of {old} any more")
        self._show_state("retired", old, executor_addresses(), [] if is_done else calls)

    def _show_state(self, step: str, key: str, executors: list[str], to_sign: Sequence[Call]) -> None:
        """With `--json`: the step, and what the owner is still to sign; it is done where that is nothing."""
        calls = [{"to": call.to, "data": call.data} for call in to_sign]
        self.show({"step": step, "key": key, "executors": executors, "done": not calls, "toSign": calls})
