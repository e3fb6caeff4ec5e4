"""The staff API, one module for each group of endpoints, as in `loans.api`."""
