"""The partner API of webhooks, one module for each group of endpoints, as in `loans.api`."""
