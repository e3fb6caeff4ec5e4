"""Who is answered what, on every endpoint. The one place to look it up, and to add a row to for a new endpoint.

A row is an endpoint with the answer to the right partner. What everybody else is told there follows from the row's
`kind`; the column that differs by endpoint, another partner with a good key of its own, stands in the row.
"""

from dataclasses import dataclass, field

Answer = tuple[int, str]  # HTTP status, and the `code` of the error envelope (empty: not an error)

STAFF_API = "/admin/"  # has a table of its own, `tests/staff/permission_table.py`

# What they are told on an endpoint for partners.
REFUSED: dict[str, Answer] = {
    "no key": (401, "missing_api_key"),
    "bad key": (401, "invalid_api_key"),
    "revoked key": (401, "invalid_api_key"),
    "expired key": (401, "expired_api_key"),
    "key of the other environment": (401, "wrong_environment"),
    "suspended partner": (403, "partner_not_active"),
    "key without the scope": (403, "missing_scope"),
    "wrong IP": (403, "ip_not_allowed"),
    "no signature": (401, "missing_signature"),
    "bad signature": (401, "invalid_signature"),
    "signature of another path": (401, "invalid_signature"),
    "signature of another method": (401, "invalid_signature"),
    "signature of version 1": (401, "invalid_signature"),
    "old signature": (401, "request_expired"),
    "replayed signature": (401, "replayed_signature"),
    "too many calls in flight": (429, "concurrency_limited"),
    "staff JWT": (401, "invalid_api_key"),  # staff are not partners, and their tokens are no API keys
    "non-admin JWT": (401, "invalid_api_key"),
    "unsigned JWT": (401, "invalid_api_key"),  # alg none
}
OTHER_PARTNER = "other partner"
CALLERS = (*REFUSED, OTHER_PARTNER)

READ, BORROW, REPAY, WEBHOOKS, MANAGE = (
    "read",
    "borrow",
    "repay",
    "webhooks",
    "manage",
)  # a partner's endpoint, and the scope that its key needs
PUBLIC = "public"  # a key is not looked at: everybody is answered alike, and the call is logged as nobody's
OPEN = "open"  # the same, outside the API: not logged
SIGNED_IN = "signed in"  # for staff with an access token, whatever their rights; not logged
HIDDEN = "hidden"  # for those who run the platform: to everybody else there is no such path; not logged


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    methods: str
    path: str
    kind: str
    right: int
    other_partner: Answer | None = None  # None: as everybody, on what is public
    body: dict[str, object] = field(default_factory=dict)
    changes_its_own: bool = False  # what the other partner does there changes what is its own

    def expected(self, caller: str) -> Answer:
        """The answer to one who is not the right partner."""
        if self.kind in (PUBLIC, OPEN):
            return self.right, ""
        if self.kind == HIDDEN:
            return NOT_FOUND
        if self.kind == SIGNED_IN:
            if caller == "staff JWT":
                return 200, ""
            return (401, "missing_token") if caller == "no key" else (401, "invalid_token")
        if caller == OTHER_PARTNER:
            assert self.other_partner is not None, self
            return self.other_partner
        return REFUSED[caller]


ITS_OWN = (200, "")  # the other partner sees what is its own, and nothing of the right one's
NOT_THERE = (404, "loan_not_found")
NO_REPAYMENT = (404, "repayment_not_found")
NO_ENDPOINT = (404, "endpoint_not_found")
NO_DELIVERY = (404, "delivery_not_found")
NO_KEY = (404, "api_key_not_found")
TOO_MANY_KEYS = (409, "too_many_api_keys")
NOT_FOUND = (404, "not_found")
NOT_AGREED = (403, "consent_invalid")  # the user signed for the right partner

# methods        path                                             kind   right  other partner
TABLE = (
    # First: the borrow uses the loan's id up, and what a partner asked for is in its own list of calls.
    Row("POST", "/partners/borrow/preview", BORROW, 200, NOT_AGREED),
    Row("GET HEAD", "/partners/my/requests", READ, 200, ITS_OWN),
    Row("POST", "/partners/borrow", BORROW, 202, NOT_AGREED),
    Row("POST", "/partners/borrow/typed-data", READ, 200, ITS_OWN),
    Row("POST", "/partners/repay", REPAY, 202, NOT_THERE),
    Row("GET HEAD", "/partners/repayments/<repayment_id>", READ, 200, NO_REPAYMENT),
    Row("GET HEAD", "/partners/loan/<partner_loan_id>", READ, 200, NOT_THERE),
    Row("GET HEAD", "/partners/loan/<partner_loan_id>/payoff", READ, 200, NOT_THERE),
    Row("GET HEAD", "/partners/user/<user_wallet>/loans", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/loans", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/platform", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/stats", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/transactions", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/transfers", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/statements/<month>", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/events", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/webhooks", READ, 200, ITS_OWN),
    Row("POST", "/partners/my/webhooks", WEBHOOKS, 201, (201, ""), changes_its_own=True),
    Row("GET HEAD", "/partners/my/webhooks/<endpoint_id>", READ, 200, NO_ENDPOINT),
    Row("PATCH", "/partners/my/webhooks/<endpoint_id>", WEBHOOKS, 200, NO_ENDPOINT),
    Row("POST", "/partners/my/webhooks/<endpoint_id>/test", WEBHOOKS, 202, NO_ENDPOINT),
    Row("POST", "/partners/my/webhooks/<endpoint_id>/rotate-secret", WEBHOOKS, 200, NO_ENDPOINT),
    Row("POST", "/partners/my/webhooks/<endpoint_id>/resend", WEBHOOKS, 202, NO_ENDPOINT),
    Row("GET HEAD", "/partners/my/webhooks/deliveries", READ, 200, ITS_OWN),
    Row("GET HEAD", "/partners/my/webhooks/deliveries/<delivery_id>", READ, 200, NO_DELIVERY),
    Row("POST", "/partners/my/webhooks/deliveries/<delivery_id>/retry", WEBHOOKS, 202, NO_DELIVERY),
    Row("DELETE", "/partners/my/webhooks/<endpoint_id>", WEBHOOKS, 204, NO_ENDPOINT),
    Row("GET HEAD", "/partners/my/keys", MANAGE, 200, ITS_OWN),
    Row("DELETE", "/partners/my/keys/<key_id>", MANAGE, 204, NO_KEY),
    Row("POST", "/partners/my/keys/rotate", MANAGE, 409, TOO_MANY_KEYS),  # so the keys that ask stay as they are
    Row("POST", "/partners/my/signing-secret/rotate", MANAGE, 200, ITS_OWN, changes_its_own=True),
    Row("GET HEAD", "/partners/public/oaid/<oaid_token_id>/credit-line", PUBLIC, 200),
    Row("GET HEAD", "/partners/public/position/<position_id>/details", PUBLIC, 200),
    Row("POST", "/auth/token", OPEN, 400),  # without a body: tests/staff/test_sign_in.py has who comes in
    Row("POST", "/auth/token/refresh", OPEN, 400),
    Row("POST", "/auth/siwe/nonce", OPEN, 200),
    Row("POST", "/auth/siwe/verify", OPEN, 400),
    Row("POST", "/auth/logout", SIGNED_IN, 401),
    Row("GET HEAD", "/health/live", OPEN, 200),
    Row("GET HEAD", "/health/ready", OPEN, 200),
    Row("GET HEAD", "/openapi.json", OPEN, 200),
    Row("GET", "/metrics", HIDDEN, 404),  # a partner is nobody here either: tests/test_scraping.py has who may
    Row("GET", "/docs", OPEN, 200),
    Row("GET", "/docs/redoc", OPEN, 200),
    Row("GET", "/", OPEN, 302),
)

# The console is for staff with a session. Every page of it, those of models that are registered tomorrow included,
# sends each caller without one to the login form, except these.
CONSOLE_LOGIN = "/console/login/?next="
CONSOLE_EXCEPTIONS: dict[str, Answer] = {
    "/console/login/": (200, ""),
    "/console/login/factor/": (302, "/console/login/"),  # to the first step
    "/console/login/enrol/": (302, "/console/login/"),
    "/console/logout/": (302, "/console/"),
}
CONSOLE_ASKED_BY_EVERYBODY = ("/console/", "/console/partners/partner/")
