"""Exceptions that end a transaction and have something to write once it is rolled back.

`run_in_transaction` calls `after_rollback` where it is the outermost, so that a service can refuse an act deep inside
the transaction of a view or a console form, and still leave a record of the refusal.
"""


class AfterRollback(Exception):
    """`after_rollback` is called once, outside any transaction, before the exception goes on."""

    def after_rollback(self) -> None:
        """Write what remains of the act."""
        raise NotImplementedError


class Postponed(AfterRollback):
    """The act was not done now and is not refused: something must happen first.

    The API returns 202 with `answer`, the console shows `message`, a command prints it.
    """

    @property
    def message(self) -> str:
        """What must happen first, for a person."""
        raise NotImplementedError

    @property
    def answer(self) -> dict[str, object]:
        """The body of the 202."""
        raise NotImplementedError
