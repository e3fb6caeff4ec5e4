"""A year of a platform's business, written in bulk: partners, loans, what they were paid back with, the calls made.

`history` decides what happened (pure, the same for the same seed), `rows` says how that stands in the tables, `bulk`
writes rows by each database's own bulk path, `ground` puts the chain where the history leaves it.
"""
