"""Forms and pages of the console that make or change partners and keys, each once."""
