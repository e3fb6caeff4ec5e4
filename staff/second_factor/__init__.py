"""Second factors: what a person of staff proves beside the password.

checking   `verify` and `has_second_factor`, for whoever signs people in; whether a factor is required
totp       codes of an authenticator app (pyotp), each time step once
passkeys   WebAuthn with user verification, each challenge once
recovery   ten codes on paper, each once

What adds and removes a factor, with its audit entry, is in `staff.services.factors`. A secret or a code never reaches a
log or the audit trail.
"""

from staff.second_factor.checking import has_second_factor, is_required, verify

__all__ = ["has_second_factor", "is_required", "verify"]
