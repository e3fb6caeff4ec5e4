"""The schema's introduction for a partner's engineer; docs/api.md has the details."""

TAGS = {
    "Public": "Readings of the chain, without a key: 60 calls a minute for a client address.",
    "Loans": "Borrow, repay and read, with an API key.",
    "Reports": "A partner's own figures and transactions.",
    "Webhooks": "What happened, told to endpoints of a partner's and kept in a feed; docs/webhooks.md.",
    "Credentials": "A partner's own API keys and signing secret, by a key with the scope `manage`.",
    "Staff sign-in": "For people of the platform: tokens for the staff API, by password or wallet and second factor.",
    "Staff": "For staff of the platform, with an access token: partners and their onboarding, keys, loans, analytics, "
    "statements, approvals, stopping, the log of calls; docs/staff.md.",
    "Service": "The service's own state, the platform's facts, and this document.",
}

INTRODUCTION = """\
Borrow and repay USDC against on-chain credit lines (OAIDs).

**Consent first**: live, a borrow carries the user's signature in `userAuthorization`, unless the platform makes it
optional (`BORROW_CONSENT`), as it is in sandbox; without it the answer is 403 `consent_required`. `POST
/partners/borrow/typed-data` answers what the user signs.

**Amounts** are strings of whole USDC base units (6 decimals): `"5000000000"` is $5,000. **Addresses** are taken in any
case, a mixed-case one with its EIP-55 checksum, and answered checksummed. **Times** are UTC, ISO 8601 with `Z`.
Bodies are JSON of at most 64 KiB; an unknown field is refused and named. Answers may gain fields: pass over those you
do not know.

**Authentication**: `Authorization: Bearer pk_…`. Partners that sign send `X-Timestamp` and `X-Signature` too,
over the whole request (`v2=`).

**Errors** come in one envelope; act on `code`, for `invalid_request` on the `code` of each of its `errors`. Repeat a
request only where `retryable` is true, after `Retry-After`
seconds. Besides what each operation lists, an unknown path is 404 `not_found` and a wrong method 405
`method_not_allowed`.

**Idempotency**: send an `Idempotency-Key` with every borrow and repayment, and the same one with every retry of it.

**Waiting**: a borrow or repayment is accepted at once and settled on the chain. The request waits for that, 25 seconds
at most; then the answer is 202, and what its `Location` names tells how it ended. `Prefer: respond-async` does not
wait.

**Rate limits**: 100, 500 or 2,000 calls in any minute for BASIC, PREMIUM and ENTERPRISE partners; `RateLimit` and
`RateLimit-Policy` are on every answer that was counted.

**Versions**: you are pinned to the version of the contract that you came with, and each answer names its own in
`API-Version`; a call may ask for another one in that header.

**Lists** have `limit` and `offset` (10,000 at most), `hasMore`, and in `next` a cursor for `?cursor=` that goes on at
any depth.
"""
