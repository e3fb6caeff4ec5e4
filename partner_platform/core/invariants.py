"""What the books must always hold, M1 to M7: the error that says one of them does not."""


class InvariantViolation(Exception):
    """The books do not hold what they must: a bug or a hand in the database, never something a caller did."""
