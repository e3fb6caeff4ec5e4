"""Console forms and pages that create or change partners and keys, each submitted once."""
