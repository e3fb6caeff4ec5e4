"""Whether the platform lends to a wallet: the block list and the cap (`wallets`), a screening service (`screening`).

A partner is refused with the same 403 `wallet_refused` whichever it was. Repayments are taken from everybody.
"""
