"""The kinds of collateral that the vault takes, and how far each may be lent against (`VaultBase.sol`)."""

# In the order of the vault's enum: an event or a reading names a kind by its index.
TOKEN_TYPES = ("RWA", "PRIVATE_ASSET")
# A loan may be drawn up to this share of the collateral's value (`ltvBps`).
LOAN_TO_VALUE_BPS = {"RWA": 7_000, "PRIVATE_ASSET": 6_000}
# Above this share of the collateral's value a debt is liquidated (`liquidationBps`).
LIQUIDATION_BPS = {"RWA": 8_000, "PRIVATE_ASSET": 7_000}
