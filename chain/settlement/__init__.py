"""Exactly once: from a queued operation to its one final effect on the chain (M2, M7).

The loop: `driver` holds the lease (`chain.wallet.lease`) and runs the steps on the `engine`, its state.

- `recovery`: what a new driver does first. `nonces` checks the nonce counter; `restoring` compares the database with
  the chain after a backup was restored.
- `bundling.send_queued`: queued operations become bundles, are simulated (`simulation`), signed, committed and sent
  (`sending`, which also bumps fees and sends noops).
- `tracking.track_transactions`: once a block, what became of each transaction.
- `settling.settle_mined`: a mined transaction settles its operations, by the logs that `verdicts` judges.
- `reverts.requeue_bundle`: a transaction reverts.
- `reorgs.roll_back_orphaned`: a reorg orphans the block of a transaction.
- `adoption.adopt_execution`: the chain executed an operation already; it is settled and not sent again.

Writes go through `transitions`. `overdue` logs what is open for long, with the reason from `reasons`; `silence` logs
that no block comes. `waking` wakes the driver.
"""
