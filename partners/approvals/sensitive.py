"""Changes of partners that need a second person, each described for who approves it (docs/approvals.md).

The services call these in their transactions, before they write; `partners.approvals.approved` makes an approved change
by the same service. What lowers a limit, a tier or trust protects, and does not wait.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

from authority.approvals.changes import SensitiveChange
from authority.approvals.requiring import is_approval_asked_of, require_approval
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.money import format_dollars
from partners import selectors, terms
from partners.models import Partner, PartnerStatus, PartnerTier, RepaymentFunding, SuspensionScope
from partners.rules import is_live

TERMS, CREATION, ACTIVATION = "partner.terms", "partner.create", "partner.activate"
NARROWING = "partner.narrow_suspension"
FORMER_ADDRESS, NEW_KEY, ROTATED_KEY = "partner.former_address", "api_key.create", "api_key.rotate"
# What lending depends on: a decision about one of them is made in view of the others.
DEPENDED_ON = (
    *("tier", "daily_borrow_limit", "total_borrow_limit", "platform_fee_percentage"),
    *("settlement_address", "repayment_funding"),
)


def is_sensitive(before: Partner, changed: Mapping[str, object]) -> bool:
    """Whether one of the changed terms needs a second person; `changed` by model field names, cleaned."""
    return any(_needs_second_person(name, getattr(before, name), value) for name, value in changed.items())


def _needs_second_person(name: str, was: object, now: object) -> bool:
    if name in terms.AMOUNTS:
        return int(str(now)) > int(str(was))
    if name == "tier":
        return PartnerTier.values.index(str(now)) > PartnerTier.values.index(str(was))
    if name == "repayment_funding":
        return now == RepaymentFunding.TRUSTED
    return name in ("settlement_address", "platform_fee_percentage")


def require_for_terms(before: Partner, changed: Mapping[str, object], *, actor: str) -> None:
    """Ask for a change of terms; one that holds something sensitive waits as a whole."""
    if not is_approval_asked_of(actor) or not is_sensitive(before, changed):
        return
    after = terms.as_audited(Partner(**changed), changed)
    current = Partner.objects.get(pk=before.pk)  # `before` has only the columns that are changed
    change = SensitiveChange(
        kind=TERMS,
        target=_target(before.partner_id),
        rights=tuple(sorted({terms.FIELDS[name].right for name in changed})),
        before=terms.as_audited(before, changed),
        after=after,
        arguments={"partnerId": before.partner_id, "terms": after},
        impact=impact_on(current),
        basis=_basis(current),
    )
    require_approval(change, actor=actor)


def require_for_creation(partner: Partner, *, given_id: str | None, scopes: Iterable[str], actor: str) -> None:
    """Ask for a new partner that may lend at once; one that is not active waits when it is activated."""
    if not is_approval_asked_of(actor) or partner.status != PartnerStatus.ACTIVE:
        return
    given = terms.as_audited(partner)
    change = SensitiveChange(
        kind=CREATION,
        target=_target(given_id or "new"),
        rights=(Right.CREATE_PARTNERS,),
        before={},
        after={**given, "status": str(partner.status), "scopes": list(scopes)},
        arguments={"partnerId": given_id, "status": str(partner.status), "scopes": list(scopes), "terms": given},
        impact=f"a new partner that may borrow {_dollars(partner.daily_borrow_limit)} a day",
    )
    require_approval(change, actor=actor)


def require_for_activation(before: Partner, *, seen: int | None, actor: str) -> None:
    """Ask for the activation of a partner."""
    if not is_approval_asked_of(actor):
        return
    reason = {"reason": before.status_reason} if before.status_reason else {}
    change = SensitiveChange(
        kind=ACTIVATION,
        target=_target(before.partner_id),
        rights=(Right.ACTIVATE_PARTNERS,),
        before={"status": str(before.status), **reason},
        after={"status": str(PartnerStatus.ACTIVE)},
        arguments={"partnerId": before.partner_id, "seen": seen},
        impact=f"{impact_on(before)}; {_terms_at_a_glance(before)}",
        basis={**_basis(before), "statusChanges": before.status_changes},
    )
    require_approval(change, actor=actor)


def require_for_narrowing(before: Partner, *, reason: str, seen: int | None, actor: str) -> None:
    """Ask for letting a suspended partner read and repay."""
    if not is_approval_asked_of(actor):
        return
    change = SensitiveChange(
        kind=NARROWING,
        target=_target(before.partner_id),
        rights=(Right.ACTIVATE_PARTNERS,),
        before={"scope": str(before.suspension_scope), "reason": before.status_reason},
        after={"scope": str(SuspensionScope.BORROWING)},
        arguments={"partnerId": before.partner_id, "reason": reason, "seen": seen},
        impact=impact_on(before),
        basis={**_basis(before), "statusChanges": before.status_changes},
    )
    require_approval(change, actor=actor)


def require_for_former_address(partner: Partner, address: str, *, actor: str) -> None:
    """Ask for an address to be noted as the partner's: transfers from it then fund its repayments."""
    if not is_approval_asked_of(actor):
        return
    name = terms.FIELDS["settlement_address"].api_name
    change = SensitiveChange(
        kind=FORMER_ADDRESS,
        target=_target(partner.partner_id),
        rights=(Right.CHANGE_SETTLEMENT_ADDRESS,),
        before={},
        after={name: address},
        arguments={"partnerId": partner.partner_id, "address": address},
        impact=impact_on(partner),
    )
    require_approval(change, actor=actor)


def require_for_new_key(partner: Partner, *, scopes: list[str], expires_at: dt.datetime | None, actor: str) -> None:
    """Ask for one more API key."""
    if not is_approval_asked_of(actor):
        return
    asked = {"scopes": scopes, "expiresAt": clock.isoformat(expires_at)}
    _require_for_key(NEW_KEY, partner, asked, actor=actor)


def require_for_rotation(partner: Partner, *, grace_hours: int, actor: str) -> None:
    """Ask for an API key in place of the one in use."""
    if not is_approval_asked_of(actor):
        return
    _require_for_key(ROTATED_KEY, partner, {"gracePeriodHours": grace_hours}, actor=actor)


def _require_for_key(kind: str, partner: Partner, asked: Mapping[str, object], *, actor: str) -> None:
    now = clock.now()
    live = [key.prefix for key in selectors.keys_of(partner) if is_live(key, now)]
    current = Partner.objects.get(pk=partner.pk)
    change = SensitiveChange(
        kind=kind,
        target=_target(partner.partner_id),
        rights=(Right.CREATE_API_KEYS,),
        before={"apiKeyPrefixes": live},
        after=asked,
        arguments={"partnerId": partner.partner_id, **asked},
        impact=impact_on(current),
    )
    require_approval(change, actor=actor)


def impact_on(partner: Partner) -> str:
    """`2 active loans, $49,000 outstanding`: what hangs on the partner now."""
    loans = "1 active loan" if partner.active_loans == 1 else f"{partner.active_loans} active loans"
    return f"{loans}, {_dollars(partner.current_outstanding)} outstanding"


def _terms_at_a_glance(partner: Partner) -> str:
    return (
        f"{_dollars(partner.daily_borrow_limit)} a day and {_dollars(partner.total_borrow_limit)} in all "
        f"to {partner.settlement_address}, {partner.repayment_funding}"
    )


def _dollars(amount: int) -> str:
    """Base units as a person reads them: `$49,000.5`."""
    dollars, dot, rest = format_dollars(amount).removeprefix("$").partition(".")
    return f"${int(dollars):,}{dot}{rest}"


def _basis(partner: Partner) -> dict[str, object]:
    return {**terms.as_audited(partner, dict.fromkeys(DEPENDED_ON)), "status": str(partner.status)}


def _target(partner_id: str) -> str:
    return f"partner:{partner_id}"
