"""A year of a platform's business, written in bulk: partners, loans, repayments, API calls.

`history` decides what happened (pure, deterministic by seed), `rows`, `chain_rows` and `api_logs` turn it into rows,
`bulk` writes rows by each database's own bulk path, `ground` writes the chain's storage accordingly.
"""
