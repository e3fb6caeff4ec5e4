"""Stopping: one partner (`suspension`), and new borrows of all of them (`pause`). Wallets: `loans.stopping`."""
