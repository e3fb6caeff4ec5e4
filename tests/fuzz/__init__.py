"""Random histories of the whole system, held against M1 to M7 after each step."""
