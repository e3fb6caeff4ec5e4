"""The console's pages of staff."""

from staff.console.sign_in_admin import ApiSessionAdmin, WalletAdmin

__all__ = ["ApiSessionAdmin", "WalletAdmin"]
