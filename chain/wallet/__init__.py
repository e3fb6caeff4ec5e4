"""The platform's wallet: its key, its fees, the lease of the one driver that may use it, and its freezing."""
