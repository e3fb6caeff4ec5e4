"""A partner's figures of each day, moved in the transaction of each change of a loan; what is told from them (M4)."""
