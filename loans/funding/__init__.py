"""Where the USDC of a repayment comes from: a transfer, a pull, or the platform account on trust.

Keeps M3: a transfer funds repayments of at most its value, and no repayment spends what another partner could claim.
`sources.find_funds` decides.
"""
