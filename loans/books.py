"""Do the books add up? Every running sum held against the loans and repayments it sums (M1 to M4).

The sums move by guarded updates while money flows; this reads them all, as of one moment, and says where they differ.
Each is derived from the records themselves (what was lent, what was paid), never from another sum, so that one wrong
figure is one finding. It costs a pass over the loans, so it is for tests, the operator and the reconciliation
(`loans.reconciliation`), never for a request.
"""

from loans.reconciliation.findings import Finding
from loans.reconciliation.look import look_at_books


def discrepancies() -> list[str]:
    """One sentence for each sum that is not what it should be; empty where the books agree with themselves."""
    return [str(finding) for finding in findings()]


def findings() -> list[Finding]:
    """The same with the rows they are about, and how each can be put right."""
    return list(look_at_books())
