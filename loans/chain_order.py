"""A place on the chain, block and log, as one number that sorts. Pure."""

LOGS_PER_BLOCK = 2**20


def order_of(block_number: int, log_index: int) -> int:
    """A place on the chain as one number that sorts."""
    return block_number * LOGS_PER_BLOCK + log_index


def block_and_log(order: int) -> tuple[int, int]:
    """The block and the log of a place that `order_of` made."""
    return divmod(order, LOGS_PER_BLOCK)


def block_of(order: int) -> int:
    """The block of a place that `order_of` made."""
    return order // LOGS_PER_BLOCK
