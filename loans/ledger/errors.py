"""Why a movement is not applied to its position's ledger."""


class LedgerGap(Exception):
    """Not the next event: an earlier one is missing, or this one was already applied."""


class LedgerPassed(LedgerGap):
    """A later event was applied already and this one was not: the later ones were applied too early."""

    def __init__(self, *, position_id: int, block_number: int, order: int) -> None:
        super().__init__(f"position {position_id} is past block {block_number} already")
        self.position_id, self.order = position_id, order


class LedgerContended(Exception):
    """Another worker moved the position at the same time: run the transaction again."""
