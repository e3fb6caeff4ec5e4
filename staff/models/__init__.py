"""Rows of staff, one module for each subject."""

from staff.models.factors import Passkey, PasskeyChallenge, RecoveryCode, TotpDevice
from staff.models.sessions import ConsoleSession
from staff.models.tokens import ApiSession, RefreshToken, StaffWallet, UsedNonce

__all__ = [
    "ApiSession",
    "ConsoleSession",
    "Passkey",
    "PasskeyChallenge",
    "RecoveryCode",
    "RefreshToken",
    "StaffWallet",
    "TotpDevice",
    "UsedNonce",
]
