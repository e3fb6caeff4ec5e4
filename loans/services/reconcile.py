"""The reconciliation: the books against themselves and against the chain, a report, and what follows from it.

What disagrees is frozen, so that it cannot get worse while somebody looks: no new loans against a position, none of a
partner, nothing sent from a wallet. Running sums that can be derived are put right by `repair`. Whatever is done is in
the audit trail.
"""

import logging
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from audit.services import record_change
from chain import reconciling
from chain import services as chain_services
from chain.watcher import catch_up
from loans import books
from loans.findings import Finding, Repair
from loans.models import OaidCredit, ReconciliationRun, SolvencyPosition
from loans.services import chain_books, follow
from loans.services.settle import settle_due
from partner_platform.core import clock
from partner_platform.core.database import run_in_transaction
from partners.models import Partner, PartnerStatus
from partners.services import suspend_partner

logger = logging.getLogger(__name__)

ACTOR = "system:reconcile"


@dataclass(frozen=True)
class Report:
    """What was compared as of a block, and every figure that disagrees."""

    block_number: int
    checked: dict[str, int]
    findings: list[Finding]
    in_motion: list[str]
    frozen: list[str]
    repaired: list[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "blockNumber": self.block_number,
            "checked": self.checked,
            "findings": [finding.as_json() for finding in self.findings],
            "inMotion": self.in_motion,
            "frozen": self.frozen,
            "repaired": self.repaired,
        }


def reconcile(*, freeze: bool = False, repair: bool = False) -> Report:
    """Compare everything, keep the run, then repair and freeze as asked. Raises `ChainUnavailable`."""
    settle_due()
    watched = catch_up()
    follow.apply_due()
    snapshot = reconciling.take_snapshot(watched.next_block - 1)
    compared = chain_books.compare(snapshot)
    found = [*books.findings(), *compared.findings]
    repaired = [finding for finding in found if repair and finding.repair and _repair(finding, finding.repair)]
    left = [finding for finding in found if finding not in repaired]
    frozen = sorted({name for finding in left if freeze for name in _freeze(finding)})
    if repair:
        _thaw({finding.subject for finding in left})
    report = Report(
        block_number=snapshot.block_number,
        checked=compared.checked,
        findings=found,
        in_motion=sorted(compared.in_motion),
        frozen=frozen,
        repaired=sorted(str(finding) for finding in repaired),
    )
    _keep(report, is_repaired=bool(repaired) and not left)
    return report


def _keep(report: Report, *, is_repaired: bool) -> None:
    ReconciliationRun.objects.create(
        block_number=report.block_number,
        checked=report.checked,
        findings=[finding.as_json() for finding in report.findings],
        finding_count=len(report.findings),
        repaired=is_repaired,
    )
    for finding in report.findings:
        logger.error("reconciliation: %s", finding)


def _repair(finding: Finding, repair: Repair) -> bool:
    """Put a derived sum right, unless it moved meanwhile."""
    model: Any = apps.get_model(repair.model)

    def write() -> bool:
        mine = model.objects.filter(pk=repair.pk, **{repair.column: repair.booked})
        if mine.update(**{repair.column: repair.derived}) != 1:
            return False
        record_change(
            actor=ACTOR,
            action="books.repaired",
            target=finding.subject,
            before={repair.column: str(repair.booked)},
            after={repair.column: str(repair.derived)},
        )
        return True

    return run_in_transaction(write)


def _freeze(finding: Finding) -> list[str]:
    """Freeze what the finding is about; answers what is frozen now."""
    kind, _, name = finding.subject.partition(":")
    if kind == "position":
        return _freeze_position(int(name), str(finding))
    if kind == "oaid":
        OaidCredit.objects.filter(oaid_token_id=int(name)).update(frozen=True)
        return [finding.subject]
    if kind == "partner":
        for partner in Partner.objects.filter(partner_id=name, status=PartnerStatus.ACTIVE):
            suspend_partner(partner=partner, actor=ACTOR)
        return [finding.subject]
    if kind in ("wallet", "account"):
        chain_services.freeze_wallets(reason=f"reconciliation: {finding}")
        return [finding.subject]
    return []


def _freeze_position(position_id: int, reason: str) -> list[str]:
    row = SolvencyPosition.objects.get(position_id=position_id)

    def write() -> None:
        mine = SolvencyPosition.objects.filter(pk=row.pk, frozen__in=[False])
        if mine.update(frozen=True, frozen_reason=reason[:300], updated_at=clock.now()) == 1:
            OaidCredit.objects.filter(oaid_token_id=row.oaid_token_id).update(frozen=True)
            record_change(
                actor=ACTOR, action="position.frozen", target=f"position:{position_id}", after={"reason": reason[:300]}
            )

    run_in_transaction(write)
    return [f"position:{position_id}"]


def _thaw(wrong: set[str]) -> None:
    """Positions frozen before that agree again may be drawn on again."""
    for row in list(SolvencyPosition.objects.filter(frozen__in=[True])):
        if f"position:{row.position_id}" in wrong:
            continue

        def write(row: SolvencyPosition = row) -> None:
            SolvencyPosition.objects.filter(pk=row.pk).update(frozen=False, frozen_reason="", updated_at=clock.now())
            OaidCredit.objects.filter(oaid_token_id=row.oaid_token_id).update(frozen=False)
            record_change(actor=ACTOR, action="position.thawed", target=f"position:{row.position_id}")

        run_in_transaction(write)
