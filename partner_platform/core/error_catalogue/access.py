"""The codes of statuses 401 and 403: who calls, what a caller may do, and a partner's limits."""

from http import HTTPStatus

from partner_platform.core.error_catalogue.entry import Entry
from partner_platform.core.errors import ErrorCode

ACCESS: dict[ErrorCode, Entry] = {
    ErrorCode.MISSING_API_KEY: Entry(
        HTTPStatus.UNAUTHORIZED, "no `Authorization: Bearer pk_…` was sent", "Missing API key"
    ),
    ErrorCode.INVALID_API_KEY: Entry(HTTPStatus.UNAUTHORIZED, "the key is unknown or revoked", "Invalid API key"),
    ErrorCode.EXPIRED_API_KEY: Entry(HTTPStatus.UNAUTHORIZED, "the key's time is over", "API key has expired"),
    ErrorCode.WRONG_ENVIRONMENT: Entry(
        HTTPStatus.UNAUTHORIZED,
        "a sandbox key calls live, or the reverse",
        "This API key is of the sandbox environment; this is live",
    ),
    ErrorCode.MISSING_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED,
        "this partner signs its requests, and this one is not signed",
        "This partner's requests need X-Timestamp and X-Signature",
    ),
    ErrorCode.INVALID_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED,
        "the signature is not that of this request, or of version 1 where the partner must sign version 2",
        "Invalid signature",
    ),
    ErrorCode.REQUEST_EXPIRED: Entry(
        HTTPStatus.UNAUTHORIZED, "`X-Timestamp` is more than five minutes off", "Request expired"
    ),
    ErrorCode.REPLAYED_SIGNATURE: Entry(
        HTTPStatus.UNAUTHORIZED, "the signature came before; each counts once", "This signature was used before"
    ),
    ErrorCode.MISSING_TOKEN: Entry(
        HTTPStatus.UNAUTHORIZED, "no `Authorization: Bearer` with an access token was sent", "Missing access token"
    ),
    ErrorCode.INVALID_TOKEN: Entry(
        HTTPStatus.UNAUTHORIZED, "the access token is not ours, or its account is closed", "Invalid access token"
    ),
    ErrorCode.EXPIRED_TOKEN: Entry(
        HTTPStatus.UNAUTHORIZED, "the access token's time is over: refresh it", "The access token has expired"
    ),
    ErrorCode.PARTNER_NOT_ACTIVE: Entry(
        HTTPStatus.FORBIDDEN,
        "the partner is suspended or inactive; where it is suspended, `details.scope` is what it is refused: `ALL` or "
        "`BORROWING`",
        "Partner account is suspended",
        {"scope": "ALL"},
    ),
    ErrorCode.IP_NOT_ALLOWED: Entry(
        HTTPStatus.FORBIDDEN, "the partner named its addresses, and this is none of them", "IP not whitelisted"
    ),
    ErrorCode.MISSING_SCOPE: Entry(
        HTTPStatus.FORBIDDEN,
        "the key may not do this",
        "This API key lacks the scope borrow",
        {"missingScopes": ["borrow"]},
    ),
    ErrorCode.PERMISSION_DENIED: Entry(
        HTTPStatus.FORBIDDEN,
        "whoever is signed in may not do this",
        "You do not have permission to perform this action.",
    ),
    ErrorCode.RIGHT_MISSING: Entry(
        HTTPStatus.FORBIDDEN,
        "the member of staff does not have the right; `details.right` names it",
        "This needs the right staff.suspend_partners",
        {"right": "staff.suspend_partners"},
    ),
    ErrorCode.NOT_OAID_OWNER: Entry(
        HTTPStatus.FORBIDDEN, "`userWallet` does not own the OAID", "User does not own this OAID"
    ),
    ErrorCode.WALLET_REFUSED: Entry(
        HTTPStatus.FORBIDDEN,
        "the platform does not lend this amount to the wallet; why is not told, and is the same for every partner",
        "The platform does not lend this amount to this wallet",
    ),
    ErrorCode.CONSENT_REQUIRED: Entry(
        HTTPStatus.FORBIDDEN,
        "the borrow needs the user's `userAuthorization`",
        "The user's authorization (userAuthorization) is required",
    ),
    ErrorCode.CONSENT_EXPIRED: Entry(
        HTTPStatus.FORBIDDEN, "the `userAuthorization`'s deadline passed", "The user's authorization has expired"
    ),
    ErrorCode.CONSENT_INVALID: Entry(
        HTTPStatus.FORBIDDEN,
        "the `userAuthorization` is not this wallet's, or not for this loan as it would be made; `details` names what "
        "differs",
        "The user signed another borrow; what differs: platformFee",
        {"platformFee": ["This borrow has 25000000."]},
    ),
    ErrorCode.DAILY_LIMIT_EXCEEDED: Entry(
        HTTPStatus.FORBIDDEN,
        "the partner's limit of the UTC day would be passed; `details.remaining` is what is left",
        "Partner daily limit exceeded. Remaining: $2500",
        {"remaining": "2500000000"},
    ),
    ErrorCode.TOTAL_LIMIT_EXCEEDED: Entry(
        HTTPStatus.FORBIDDEN,
        "the partner's total limit would be passed; `details.remaining` is what is left",
        "Partner total limit exceeded. Remaining: $2500",
        {"remaining": "2500000000"},
    ),
}
