"""Statements: a partner's month of money, from its opening to its closing balance, each line with its transaction.

The balance is what the partner's drawn loans owe of their principal: the partner's `current_outstanding` without what
is accepted and not drawn yet. Interest and fees are lines that do not change it. Everything is computed from the rows
of the books each time, nothing is stored but what a reorg undid (`loans.models.UndoneMovement`), so a statement cannot
differ from the books.

`months` says which month, `lines` what a movement is as lines (both pure), `reading` finds the movements of a month in
pages and sums up those before it, `statement` puts them together, `as_json`, `as_csv` and `as_pdf` write it.
"""
