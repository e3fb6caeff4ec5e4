"""Whether an API call comes in: its key, address, signature, scopes, rate, and threads."""
