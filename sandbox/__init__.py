"""The whole platform on one machine, for developers and tests: servers, a chain, contracts, demo partners."""
