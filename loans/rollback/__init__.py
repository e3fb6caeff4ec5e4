"""A reorg's rollback in the books: every position is as it was before the block from which the chain was replaced.

Each event's ledger entry is restored newest first (`entries`), then the position's pool debt and collateral
(`mirror`); a position whose rollback fails is held until it succeeds (`positions`). An operation of ours is PENDING
again and is settled again by its new outcome (`operations`). Keeps M2 to M5. `chain` decides what was replaced
(`chain.events.reorgs` for events, `chain.settlement.reorgs` for operations).
"""
