"""The books: every loan, every repayment, and the position that backs them.

A loan is accepted in one transaction with its reservations (the partner's daily and total limits, the OAID's credit)
and its chain operation, and is settled by `loans.services.settle` when that operation reaches a final state.
Invariants: M1 no interleaving passes a limit; M2 `net` is paid exactly once or the reservation is released exactly
once; M3 a transfer funds at most its value, and nothing else spends what a partner sent (`loans.models.accounts`); M4
the running sums equal what loans and repayments add up to. States and their edges are in `loans.states`. Amounts are
USDC base units, rates basis points a year. Source: plan, PartnerLoan and SolvencyPosition schemas.
"""

from loans.models.accounts import AccountDeposit, NotedAddress, PartnerSpending, PlatformAccount
from loans.models.ledger import LedgerEntry, LedgerEntryKind
from loans.models.loans import (
    MAX_LABEL,
    FundingSource,
    LoanStatus,
    PartnerLoan,
    Repayment,
    RepaymentSource,
    RepaymentStatus,
)
from loans.models.positions import OaidCredit, SolvencyPosition
from loans.models.reconciliation import ReconciledDay, ReconciliationRun
from loans.models.wallets import UserWallet

__all__ = [
    "MAX_LABEL",
    "AccountDeposit",
    "FundingSource",
    "LedgerEntry",
    "LedgerEntryKind",
    "LoanStatus",
    "NotedAddress",
    "OaidCredit",
    "PartnerLoan",
    "PartnerSpending",
    "PlatformAccount",
    "ReconciledDay",
    "ReconciliationRun",
    "Repayment",
    "RepaymentSource",
    "RepaymentStatus",
    "SolvencyPosition",
    "UserWallet",
]
