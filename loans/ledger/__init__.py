"""The ledger of a position: what each movement at the pool does to the loans that share its debt (M5)."""
