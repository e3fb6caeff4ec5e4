"""Exactly once: from a queued operation to its one final effect on the chain (M2, M7).

The `driver` holds the lease and runs the steps: `recovery`, `bundling`, `sending`, `tracking`, `settling`, `reorgs`.
"""
