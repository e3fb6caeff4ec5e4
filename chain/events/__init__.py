"""The watcher: each event of the system's contracts is one `ChainEvent`, in the chain's order, and is taken back if its
block is replaced (M5).
"""
