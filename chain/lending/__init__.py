"""The lending contracts: their ABIs, the dialect of the system, readings, operations and outcomes, funding (M3)."""
