"""Rows of staff, one module for each subject."""

from staff.models.tokens import ApiSession, RefreshToken, StaffWallet, UsedNonce

__all__ = ["ApiSession", "RefreshToken", "StaffWallet", "UsedNonce"]
