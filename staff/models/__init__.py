"""Rows of staff, one module for each subject."""

from staff.models.factors import Passkey, PasskeyChallenge, RecoveryCode, TotpDevice
from staff.models.sessions import ConsoleSession

__all__ = ["ConsoleSession", "Passkey", "PasskeyChallenge", "RecoveryCode", "TotpDevice"]
