"""The partner API of a partner's own settings, one module for each group of endpoints, as in `loans.api`."""
