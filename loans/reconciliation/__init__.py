"""The reconciliation: the books against themselves and against the chain, at one moment.

`look` takes the comparison: everything it reads of the database is of one snapshot, everything it reads of the chain of
one block B, the last that the watcher had read in that snapshot. What the books know beyond B is left out exactly, so
that healthy books never look wrong, whatever moves meanwhile. It goes over the positions in ranges of their keys
(`records`), a bounded number of rows at a time:

- `loans`: each loan's sums against its repayments;
- `days`: what a partner's loans of one day add up to, kept from run to run;
- `landings`: each draw and repayment of ours against its event, and what that did to the platform account;
- `positions`: a position against its loans, its events, and the vault at B;
- `reserved`, `transfers`, `holdings`: OAIDs; proven transfers; platform account and wallets.

`findings` (in `loans`) is what does not agree, `standing` which of that is so for the second time. What follows from it
is in `loans.services`: `reconcile` runs it, `repairs` and `freezing` act.
"""
