"""Collateral positions: mirrored rows, their health, the credit reserved of each (M1), and those that are held."""
