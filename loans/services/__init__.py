"""Writes of the books: `borrow.request_borrow`, `repay.request_repay`, `settle.settle_due`."""
