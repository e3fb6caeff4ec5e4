"""The ledger of a position: what each movement at the pool does to the loans that share its debt (M5).

`movement` says what an event at the pool is, `shares` how the debt is divided between the loans, `apply` moves the
position's row, `entries` keeps the snapshot from before, `payments` writes the loans. What does not follow the last
movement (`errors`) is not applied; `gaps` searches for what is missing.
"""
