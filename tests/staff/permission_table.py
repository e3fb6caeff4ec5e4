"""Who may do what with the staff API. The one place to look it up, and to add a row to for a new endpoint.

A row is a request and the rights that it needs, in the order in which they are asked for: whoever misses one is 403
`right_missing` and told which. Which role has which right is in `authority.roles`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from authority.rights import Right
from tests.staff.things import CONTACT, DOCUMENT

Answer = tuple[int, str]  # HTTP status, and the `code` of the error envelope (empty: not an error)

# What those are told who are no members of staff, on every endpoint.
STRANGERS: dict[str, Answer] = {
    "nobody": (401, "missing_token"),
    "a partner's key": (401, "invalid_token"),
    "a closed account": (401, "invalid_token"),
    "a user who is not staff": (401, "invalid_token"),
    "a forged token": (401, "invalid_token"),
}
OTHERS = ("no role", "superuser")  # members of staff beside those of each role
OTHER_WALLET = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"
FRESH_ADDRESS = "a settlement address that nobody has"
NEW_PARTNER = {
    "partnerName": "New Lending Platform",
    "apiKeyPrefix": "nlp",
    "tier": "BASIC",
    "dailyBorrowLimit": "50000000000",
    "totalBorrowLimit": "200000000000",
    "platformFeePercentage": 75,
    "settlementAddress": FRESH_ADDRESS,
    "contactEmail": "api@newplatform.com",
    "webhookUrl": "https://newplatform.com/webhooks",
}


@dataclass(frozen=True)
class Row:
    """One line of the table; `status` is the answer to who has the rights."""

    methods: str
    path: str
    rights: tuple[Right, ...]
    status: int = 200
    body: Mapping[str, object] | None = field(default=None)
    loan: str = "ACTIVE"  # what the loan is before the call
    query: str = ""

    @property
    def uses_things(self) -> bool:
        """Whether the call is about what `tests.staff.things` makes."""
        return any(
            word in self.path for word in ("document", "contact_id", "approval_id", "<wallet>", "month", "advance")
        )

    @property
    def name(self) -> str:
        changed = ", ".join(self.body or {}) if self.methods == "PATCH" else ""
        return f"{self.methods} {self.path} {changed}".strip()


PARTNER, LOAN = "/admin/partners/<partner_id>", "/admin/loans/<internal_loan_id>"
VIEW, CHANGE = (Right.VIEW_PARTNERS,), (Right.CHANGE_PARTNERS,)
LIMITS = (Right.CHANGE_PARTNERS, Right.CHANGE_LIMITS)
ADDRESS = (Right.CHANGE_PARTNERS, Right.CHANGE_SETTLEMENT_ADDRESS)
ONBOARDING = (Right.CHANGE_PARTNERS, Right.MANAGE_ONBOARDING)
ONBOARD = (Right.MANAGE_ONBOARDING,)
APPROVAL = "/admin/approvals/<approval_id>"  # of an activation
DECIDE = (Right.VIEW_APPROVALS, Right.ACTIVATE_PARTNERS)
WHY = {"reason": "Asked for it."}
KEYS, SECRETS, MARK = (Right.CREATE_API_KEYS,), (Right.ROTATE_SECRETS,), (Right.MARK_LOANS,)

TABLE = (
    Row("POST", "/admin/partners/create", (Right.CREATE_PARTNERS,), 201, NEW_PARTNER),
    Row("GET HEAD", "/admin/partners", VIEW),
    Row("GET HEAD", PARTNER, VIEW),
    Row("PATCH", PARTNER, CHANGE, body={"partnerName": "Other Name", "webhookUrl": "https://other.example/hooks"}),
    Row("PATCH", PARTNER, LIMITS, body={"dailyBorrowLimit": "75000000000"}),
    Row("PATCH", PARTNER, LIMITS, body={"totalBorrowLimit": "300000000000"}),
    Row("PATCH", PARTNER, LIMITS, body={"tier": "PREMIUM"}),
    Row("PATCH", PARTNER, LIMITS, body={"platformFeePercentage": 10}),
    Row("PATCH", PARTNER, LIMITS, body={"repaymentFunding": "TRUSTED"}),
    Row("PATCH", PARTNER, ADDRESS, body={"settlementAddress": FRESH_ADDRESS}),
    Row("PATCH", PARTNER, ONBOARDING, body={"kycVerified": True}),
    Row("PATCH", PARTNER, ONBOARDING, body={"contractSigned": True}),
    Row("POST", f"{PARTNER}/suspend", (Right.SUSPEND_PARTNERS,), body={"reason": "Asked for it."}),
    Row("POST", f"{PARTNER}/activate", (Right.ACTIVATE_PARTNERS,)),
    Row("POST", f"{PARTNER}/regenerate-api-key", KEYS),
    Row("GET HEAD", f"{PARTNER}/keys", VIEW),
    Row("POST", f"{PARTNER}/keys", KEYS),
    Row("DELETE", f"{PARTNER}/keys/<key_id>", (Right.REVOKE_API_KEYS,)),
    Row("POST", f"{PARTNER}/rotate-webhook-secret", SECRETS),
    Row("POST", f"{PARTNER}/rotate-signing-secret", SECRETS),
    Row("GET HEAD", "/admin/partners/audit-logs", (Right.VIEW_API_LOGS,)),
    Row("GET HEAD", "/admin/loans", (Right.VIEW_LOANS,)),
    Row("GET HEAD", LOAN, (Right.VIEW_LOANS,)),
    Row("POST", f"{LOAN}/default", MARK, body={"reason": "The borrower is insolvent."}),
    Row("POST", f"{LOAN}/cure", MARK, loan="DEFAULTED"),
    Row("GET HEAD", f"{PARTNER}/analytics", VIEW),
    Row("GET HEAD", "/admin/analytics", VIEW),
    Row("GET HEAD", f"{PARTNER}/statements/<month>", (Right.VIEW_STATEMENTS,)),
    Row("GET HEAD", f"{PARTNER}/onboarding", VIEW),
    Row("PATCH", f"{PARTNER}/onboarding", ONBOARD, body={"companyName": "Lender GmbH"}),
    Row("POST", f"{PARTNER}/onboarding/advance", ONBOARD, body={"stage": "KYC"}),
    Row("GET HEAD", f"{PARTNER}/documents", VIEW),
    Row("POST", f"{PARTNER}/documents", ONBOARD, 201, DOCUMENT),
    Row("POST", f"{PARTNER}/documents/<document_id>/check", ONBOARD, body={"verdict": "ACCEPTED"}),
    Row("GET HEAD", f"{PARTNER}/contacts", VIEW),
    Row("POST", f"{PARTNER}/contacts", ONBOARD, 201, CONTACT),
    Row("DELETE", f"{PARTNER}/contacts/<contact_id>", ONBOARD),
    Row("GET HEAD", f"{PARTNER}/notes", VIEW),
    Row("POST", f"{PARTNER}/notes", ONBOARD, 201, {"text": "They called."}),
    Row("GET HEAD", "/admin/platform", VIEW),
    Row("POST", "/admin/platform/pause", (Right.PAUSE_BORROWING,), body=WHY),
    Row("POST", "/admin/platform/resume", (Right.RESUME_BORROWING,), body=WHY),
    Row("GET HEAD", "/admin/blocked-wallets", (Right.VIEW_LOANS,)),
    Row("POST", "/admin/blocked-wallets", (Right.BLOCK_WALLETS,), 201, {"wallet": OTHER_WALLET, **WHY}),
    Row("DELETE", "/admin/blocked-wallets/<wallet>", (Right.UNBLOCK_WALLETS,), query="?reason=Asked%20for%20it."),
    Row("GET HEAD", "/admin/approvals", (Right.VIEW_APPROVALS,)),
    Row("GET HEAD", APPROVAL, (Right.VIEW_APPROVALS,)),
    Row("POST", f"{APPROVAL}/approve", DECIDE, body=WHY),
    Row("POST", f"{APPROVAL}/reject", DECIDE, body=WHY),
)
