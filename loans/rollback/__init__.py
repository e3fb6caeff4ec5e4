"""All that undoes what a reorg took from the books."""
