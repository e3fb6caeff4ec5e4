"""Partners: who may lend through the platform, within which limits, with which keys.

A `Partner` carries its terms (limits, fee, settlement address) and the running sums that the limits are checked
against; those sums move only by the guarded updates in `partners.limits`. An `ApiKey` is stored as its SHA-256; the key
itself is returned once, in the response that created it. Invariants (M1, M4): `current_outstanding` never passes
`total_borrow_limit` by a borrow, a day's `borrowed` never passes `daily_borrow_limit`, and both equal what the loans
add up to. A `SettlementAddress` is one partner's for ever (M3). How far a new partner is stands in
`partners.onboarding.models`. Amounts are USDC base units. Source: plan, Partner schema.
"""

from partners.models.keys import ApiKey, Scope, all_scopes
from partners.models.partners import (
    BorrowingPause,
    Partner,
    PartnerDailyUsage,
    PartnerStatus,
    PartnerTier,
    RepaymentFunding,
    SettlementAddress,
    SuspensionScope,
    signature_v1_by_default,
)
from partners.models.records import IdempotencyKey, OutgoingMail, SentForm
from partners.onboarding import models as onboarding  # noqa: F401 - Django finds an app's models here

__all__ = [
    "ApiKey",
    "BorrowingPause",
    "IdempotencyKey",
    "OutgoingMail",
    "Partner",
    "PartnerDailyUsage",
    "PartnerStatus",
    "PartnerTier",
    "RepaymentFunding",
    "Scope",
    "SentForm",
    "SettlementAddress",
    "SuspensionScope",
    "all_scopes",
    "signature_v1_by_default",
]
