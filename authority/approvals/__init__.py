"""A second pair of eyes: what is dangerous is done by two people (docs/approvals.md).

changes    a sensitive change as a service describes it, and its digest
kinds      the kinds of changes that can wait, and how each is made once it is approved
requiring  `require_approval`: a service asks, in its transaction, whether the change may be made now
proposing  the row of a change that waits
deciding   a second person approves or rejects
glass      changes that were made without the second person, and their review
people     who may decide, and whether two accounts are the same person's
watching   what a regular task does: expire proposals, report reviews that are overdue
"""
