"""`manage.py replace_executor`: loans are drawn and repaid through another executor from now on."""

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from authority.commands import StaffCommand
from chain.lending import readings
from chain.lending.deployment import DeploymentFailed
from chain.management.owner import address_of
from chain.operators import rotation
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.wallet.signer import signing_address
from loans import selectors
from partner_platform.core.money import format_dollars
from partners.selectors import active_partners

SHOWN = 20


class Command(StaffCommand):
    """Two calls: one before the settings change, one after it. Nothing is signed here."""

    help = (
        "Check that a new executor (NEW) can do the platform's work and who must allow it what; after the settings have"
        " changed, that nothing is open on the old one (--retire OLD). docs/settlement.md has the drill."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("new", nargs="?", help="address that `deploy_executor` printed")
        parser.add_argument("--retire", metavar="OLD", help="address of the executor that is used no longer")

    def act(self, *, new: str | None, retire: str | None, **options: object) -> None:
        self.require_right_of(rotation.record_rotation)
        if bool(new) == bool(retire):
            raise CommandError("Name the new executor's address, or --retire the old one's.")
        try:
            if new:
                self._check(address_of("NEW", new))
            else:
                self._retire(address_of("--retire", str(retire)))
        except rotation.RotationRefused as refusal:
            raise CommandError(f"refused: {refusal}") from refusal
        except (ChainUnavailable, RpcError, DeploymentFailed) as error:
            raise CommandError(str(error)) from error

    def _check(self, new: str) -> None:
        wallet = signing_address()
        if not wallet:
            raise CommandError("There is no key here: run it where transactions are signed.")
        rotation.require_can_replace(rotation.inspect_executor(new, [wallet]), wallet)
        old = settings.PLATFORM_EXECUTOR_ADDRESS
        rotation.follow_executors(*[address for address in (old, new) if address])
        rotation.record_rotation("settlement.executor_allowed", f"executor:{new}", actor=self.actor, replaces=old)
        self.say(f"{new} can do the work of {old or 'none'}; events of both are followed from now on")
        partners = self._tell_partners(new)
        positions = self._tell_users(new)
        self.say(
            f"then: PLATFORM_EXECUTOR_ADDRESS={new} everywhere, restart; {rotation.open_operations(old)} operations"
            f" stay {old}'s; manage.py replace_executor --retire {old} --as {self.actor.username}"
        )
        self.show({"step": "allowed", "executor": new, "partnersToApprove": partners, "positionsToAllow": positions})

    def _tell_partners(self, new: str) -> list[str]:
        """The partners that are to approve it: repayments without a hash are pulled by an allowance."""
        to_approve = []
        for partner in active_partners():
            balance, allowance = readings.read_usdc_funding(partner.settlement_address, executor=new)
            if allowance < balance:
                to_approve.append(partner.partner_id)
                self.say(
                    f"{partner.partner_id}: {partner.settlement_address} lets it pull {format_dollars(allowance)} of"
                    f" {format_dollars(balance)}: the partner is to approve {new}"
                )
        return to_approve

    def _tell_users(self, new: str) -> list[str]:
        """The positions that nothing can be drawn on, because their user does not let the executor."""
        positions = selectors.active_positions()
        allowed = readings.read_operators([row.user_wallet for row in positions], new)
        missing = [row for row in positions if row.user_wallet not in allowed]
        self.say(f"{len(missing)} of {len(positions)} active positions do not let it draw yet")
        for row in missing[:SHOWN]:
            self.say(f"  position {row.position_id}: {row.user_wallet} is to call setOperator({new}, true)")
        return [str(row.position_id) for row in missing]

    def _retire(self, old: str) -> None:
        rotation.require_executor_is_unused(old)
        view = rotation.inspect_executor(old, [])
        rotation.record_rotation(
            "settlement.executor_retired", f"executor:{old}", actor=self.actor, usdcLeft=view.usdc_balance
        )
        self.say(
            f"nothing is open on {old}; it holds {format_dollars(view.usdc_balance)}: fees, and transfers of partners"
            " that no repayment has claimed (settle those with the partners before its owner withdraws)"
        )
        self.show({"step": "retired", "executor": old, "usdcLeft": str(view.usdc_balance)})
