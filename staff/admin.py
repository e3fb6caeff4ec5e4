"""The console's pages of staff."""

from staff.console.account_admin import ConsoleSessionAdmin, RoleAdmin, StaffAdmin
from staff.console.sign_in_admin import ApiSessionAdmin, WalletAdmin

__all__ = ["ApiSessionAdmin", "ConsoleSessionAdmin", "RoleAdmin", "StaffAdmin", "WalletAdmin"]
