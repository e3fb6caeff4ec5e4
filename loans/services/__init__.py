"""Writes of the books: accepting a borrow or a repayment, settling it, following the chain, default and cure.

`borrow.request_borrow` and `repay.request_repay` accept, `settle.settle_due` settles, `follow.follow_chain` applies
what others did on the chain. Keeps M1 to M4: every change of money is one guarded update; a loan, its reservations, its
operation and its audit entry are written in one transaction.
"""
