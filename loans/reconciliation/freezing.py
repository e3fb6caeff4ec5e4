"""Freezing what disagrees, so that it cannot get worse until somebody has looked, and thawing what agrees again.

No new loans against a position or an OAID, none of a partner, nothing sent from a wallet. Whatever is done is in the
audit trail.

A borrow is refused by the row of its OAID (`positions.credit`), also where it is the position that is wrong: so that
row is made where nobody has borrowed on the OAID yet. An OAID is thawed once neither it nor any of its positions is
wrong.
"""

from collections.abc import Collection, Iterable
from functools import partial

from django.db.models import F

from audit.services import record_change
from chain import services as chain_services
from loans.models import OaidCredit, PartnerLoan, SolvencyPosition
from loans.positions import credit
from loans.reconciliation.findings import BooksFinding
from partner_platform.core import clock
from partner_platform.core.database.isolation import alone
from partner_platform.core.database.transactions import run_in_transaction
from partners.models import Partner
from partners.selectors import HEARD
from partners.services import suspend_partner

ACTOR = "system:reconcile"
REASON_LENGTH = 300


def freeze_subject(finding: BooksFinding) -> list[str]:
    """Freeze what the finding is about; returns what is frozen now."""
    kind, _, name = finding.subject.partition(":")
    if kind == "position":
        _freeze_position(int(name), str(finding)[:REASON_LENGTH])
        return [finding.subject]
    if kind == "oaid":
        _freeze_oaid(int(name), str(finding)[:REASON_LENGTH])
        return [finding.subject]
    if kind == "partner":
        for partner in Partner.objects.filter(HEARD, partner_id=name):
            suspend_partner(partner=partner, actor=ACTOR, reason=str(finding))
        return [finding.subject]
    if kind in ("wallet", "account"):
        chain_services.freeze_wallets(reason=f"reconciliation: {finding}", address=name if kind == "wallet" else "")
        return [finding.subject]
    return []


def _freeze_position(position_id: int, reason: str) -> None:
    oaids = _oaids_of(position_id)
    for oaid in oaids:
        credit.ensure_row(oaid)

    def write() -> None:
        mine = SolvencyPosition.objects.filter(position_id=position_id, frozen__in=[False])
        if mine.update(frozen=True, frozen_reason=reason, updated_at=clock.now()) == 1:
            _record("position.frozen", f"position:{position_id}", reason)
        for oaid in oaids:
            _write_oaid(oaid, reason)

    run_in_transaction(write)


def _freeze_oaid(oaid: int, reason: str) -> None:
    credit.ensure_row(oaid)
    run_in_transaction(lambda: _write_oaid(oaid, reason))


def _write_oaid(oaid: int, reason: str) -> None:
    """Freeze the OAID, and count that, also where it is frozen already: a thaw under way then finds it changed."""
    mine = OaidCredit.objects.filter(oaid_token_id=oaid)
    if mine.filter(frozen__in=[False]).update(frozen=True, version=F("version") + 1) == 1:
        _record("oaid.frozen", f"oaid:{oaid}", reason)
    else:
        mine.update(version=F("version") + 1)


def _record(action: str, target: str, reason: str) -> None:
    record_change(actor=ACTOR, action=action, target=target, after={"reason": reason})


def _oaids_of(position_id: int) -> list[int]:
    """Whose collateral the position is; where it has no row, by the loans that were drawn on it."""
    mirrored = SolvencyPosition.objects.filter(position_id=position_id).values_list("oaid_token_id", flat=True)
    lent = PartnerLoan.objects.filter(solvency_position_id=position_id).values_list("oaid_token_id", flat=True)
    return sorted(set(mirrored) or set(lent))


def _positions_of(oaid: int) -> set[int]:
    """The other way round, those without a row among them."""
    mirrored = SolvencyPosition.objects.filter(oaid_token_id=oaid).values_list("position_id", flat=True)
    lent = PartnerLoan.objects.filter(oaid_token_id=oaid).values_list("solvency_position_id", flat=True)
    return {*mirrored, *lent}


# --- Thawing --------------------------------------------------------------------------------------------------


def frozen_positions() -> list[SolvencyPosition]:
    """Those that are frozen now, each with its reason."""
    return list(SolvencyPosition.objects.filter(frozen__in=[True]))


def frozen_oaids() -> list[OaidCredit]:
    """Those that are frozen now, each with the count of what happened to it."""
    return list(OaidCredit.objects.filter(frozen__in=[True]))


def thaw_positions(before: Iterable[SolvencyPosition], wrong: Collection[str]) -> None:
    """Thaw positions that were frozen before the comparison, for a reason that is over: not what it found wrong
    (`wrong` are subjects), and not what was frozen since. Their OAIDs are thawed by `thaw_oaids`, afterwards.
    """
    for row in before:
        if f"position:{row.position_id}" not in wrong:
            act = partial(_thaw_position, row)
            alone(partial(run_in_transaction, act), f"thawing position {row.position_id}")


def _thaw_position(row: SolvencyPosition) -> int:
    as_read = SolvencyPosition.objects.as_read(row, "frozen_reason").filter(frozen__in=[True])
    thawed = as_read.update(frozen=False, frozen_reason="", updated_at=clock.now())
    if thawed:
        record_change(actor=ACTOR, action="position.thawed", target=f"position:{row.position_id}")
    return thawed


def thaw_oaids(before: Iterable[OaidCredit], wrong: Collection[str], repaired: Collection[str]) -> None:
    """Thaw OAIDs that were frozen before the comparison, where it found neither them nor any of their positions wrong,
    and none of these is frozen (still, or since). Not one that was frozen again since, or whose reservation moved
    otherwise than by the repair of it in this run (`repaired` are subjects): the next run thaws that one.
    """
    for row in before:
        subject = f"oaid:{row.oaid_token_id}"
        if subject not in wrong:
            act = partial(_thaw_oaid, row, row.version + (subject in repaired), wrong)
            alone(partial(run_in_transaction, act), f"thawing OAID {row.oaid_token_id}")


def _thaw_oaid(row: OaidCredit, version: int, wrong: Collection[str]) -> int:
    positions = _positions_of(row.oaid_token_id)
    if any(f"position:{position_id}" in wrong for position_id in positions):
        return 0
    if SolvencyPosition.objects.filter(oaid_token_id=row.oaid_token_id, frozen__in=[True]).exists():
        return 0
    thawed = OaidCredit.objects.filter(pk=row.pk, frozen__in=[True], version=version).update(frozen=False)
    if thawed:
        record_change(actor=ACTOR, action="oaid.thawed", target=f"oaid:{row.oaid_token_id}")
    return thawed
