"""A statement as CSV, written in pieces: a row OPENING, the lines, a row CLOSING, and a row for each total."""

import csv
import io
from collections.abc import Iterator

from loans.statements.as_json import LINES_IN_PIECE, present_line
from loans.statements.statement import Statement
from loans.transactions import FORMULA_STARTS
from partner_platform.core.clock import isoformat

COLUMNS = (
    *("date", "kind", "undoes", "partnerLoanId", "amount", "balanceChange", "balance"),
    *("txHash", "blockNumber"),
)


def csv_statement(statement: Statement) -> Iterator[str]:
    """The whole statement; of one that is provisional the row CLOSING is called PROVISIONAL."""
    begins, ends = isoformat(statement.month.begins), isoformat(statement.month.ends)
    rows = [list(COLUMNS), _row(begins, "OPENING", balance=statement.opening)]
    for line in statement.lines():
        shown = present_line(line, statement.balance)
        rows.append([_cell(name, shown[name]) for name in COLUMNS])
        if len(rows) >= LINES_IN_PIECE:
            yield _text(rows)
            rows = []
    totals = statement.totals
    rows.append(_row(ends, "PROVISIONAL" if statement.is_provisional else "CLOSING", balance=statement.balance))
    for name, amount in {
        "TOTAL_BORROWED": totals.borrowed,
        "TOTAL_REPAID": totals.repaid,
        "TOTAL_FEES": totals.fees,
        "TOTAL_INTEREST": totals.interest,
        "TOTAL_WRITTEN_OFF": totals.written_off,
    }.items():
        rows.append(_row(ends, name, amount=amount))
    yield _text(rows)


def _row(date: str | None, kind: str, *, balance: int | None = None, amount: int | None = None) -> list[str]:
    values = {"date": date, "kind": kind, "balance": balance, "amount": amount}
    return [_cell(name, values.get(name)) for name in COLUMNS]


def _cell(name: str, value: object) -> str:
    """A loan's id that a spreadsheet would take for a formula has a `'` before it (OWASP, CSV Injection)."""
    text = "" if value is None else str(value)
    return f"'{text}" if name == "partnerLoanId" and text.startswith(FORMULA_STARTS) else text


def _text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
