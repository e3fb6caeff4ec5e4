"""Do the books add up? Every running sum held against the loans and repayments it sums (M1 to M4), without the chain.

The comparison is the reconciliation's own, which derives each sum from the records themselves (what was lent, what was
paid), never from another sum, so that one wrong figure is one finding.
"""

from loans.reconciliation.comparison import Comparing
from partner_platform.core.database.snapshot import snapshot


def discrepancies() -> list[str]:
    """One sentence for each sum that is not what it should be; empty where the books agree with themselves."""
    with snapshot():
        comparing = Comparing(moment=None, audit_block=0)
        comparing.compare_all()
    return [str(finding) for finding in comparing.findings]
