"""The reconciliation: the books against themselves and against the chain, at one moment.

`comparison` compares: everything it reads of the database is of one snapshot, everything it reads of the chain of
one block B, the last that the watcher had read in that snapshot. What the books know beyond B is left out exactly, so
that healthy books never seem wrong, whatever changes meanwhile. It reads the positions in ranges of their keys
(`records`), a bounded number of rows at a time:

- `loans`: each loan's sums against its repayments;
- `days`: what a partner's loans of one day add up to, stored from run to run;
- `own_events`: each draw and repayment of ours against its event, and what that did to the platform account;
- `positions`: a position against its loans, its events, and the vault at B;
- `reservations`, `transfers`, `holdings`: OAIDs; proven transfers; platform account and wallets.

`findings` is what does not agree, `sightings` which of it two runs confirm. `run` does all of it, `repairs` and
`freezing` act on what is confirmed, `stored_runs` keeps the run.
"""
