"""The platform's wallet: the row and the key that transactions are signed with.

- `wallets.platform_wallet`: the row of the configured key. `signer.get_signer`: the key. `fees`: what a transaction
  bids.
- `lease.take_lease`: one driver at a time; every write of a driver is fenced by the lease's epoch (M2).
- `freezing.freeze_wallet`: send nothing new until a person has looked.
"""
