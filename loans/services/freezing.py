"""Stopping what disagrees, so that it cannot get worse while somebody looks: and letting go what agrees again.

No new loans against a position or an OAID, none of a partner, nothing sent from a wallet. Whatever is done is in the
audit trail.
"""

from collections.abc import Collection, Iterable
from functools import partial

from audit.services import record_change
from chain import services as chain_services
from loans.findings import Finding
from loans.models import OaidCredit, SolvencyPosition
from partner_platform.core import clock
from partner_platform.core.database import run_in_transaction
from partner_platform.core.isolation import alone
from partners.models import Partner, PartnerStatus
from partners.services import suspend_partner

ACTOR = "system:reconcile"


def freeze(finding: Finding) -> list[str]:
    """Freeze what the finding is about; answers what is frozen now."""
    kind, _, name = finding.subject.partition(":")
    if kind == "position":
        return _freeze_position(int(name), str(finding))
    if kind == "oaid":
        OaidCredit.objects.filter(oaid_token_id=int(name)).update(frozen=True)
        return [finding.subject]
    if kind == "partner":
        for partner in Partner.objects.filter(partner_id=name, status=PartnerStatus.ACTIVE):
            suspend_partner(partner=partner, actor=ACTOR, reason=str(finding))
        return [finding.subject]
    if kind in ("wallet", "account"):
        chain_services.freeze_wallets(reason=f"reconciliation: {finding}", address=name if kind == "wallet" else "")
        return [finding.subject]
    return []


def _freeze_position(position_id: int, reason: str) -> list[str]:
    def write() -> None:
        mine = SolvencyPosition.objects.filter(position_id=position_id, frozen__in=[False])
        if mine.update(frozen=True, frozen_reason=reason[:300], updated_at=clock.now()) == 1:
            row = SolvencyPosition.objects.get(position_id=position_id)
            OaidCredit.objects.filter(oaid_token_id=row.oaid_token_id).update(frozen=True)
            record_change(
                actor=ACTOR, action="position.frozen", target=f"position:{position_id}", after={"reason": reason[:300]}
            )

    run_in_transaction(write)
    return [f"position:{position_id}"]


def frozen_positions() -> list[SolvencyPosition]:
    """Those that are frozen now, each with its reason."""
    return list(SolvencyPosition.objects.filter(frozen__in=[True]))


def thaw(before: Iterable[SolvencyPosition], wrong: Collection[str]) -> None:
    """What was frozen before a look, for a reason that holds no more, may be drawn on again: not what a look found
    wrong (`wrong` are subjects), and not what was frozen since.
    """
    for row in before:
        if f"position:{row.position_id}" in wrong:
            continue

        def write(row: SolvencyPosition = row) -> int:
            as_read = SolvencyPosition.objects.filter(pk=row.pk, frozen__in=[True], frozen_reason=row.frozen_reason)
            if as_read.update(frozen=False, frozen_reason="", updated_at=clock.now()) == 1:
                if f"oaid:{row.oaid_token_id}" not in wrong:
                    OaidCredit.objects.filter(oaid_token_id=row.oaid_token_id).update(frozen=False)
                record_change(actor=ACTOR, action="position.thawed", target=f"position:{row.position_id}")
            return 0

        alone(partial(run_in_transaction, write), f"thawing position {row.position_id}")
