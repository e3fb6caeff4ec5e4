"""A statement as PDF, the same bytes for the same statement: nothing in it is of the moment it was written."""

from collections.abc import Sequence

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from loans.statements.lines import BalanceLine
from loans.statements.statement import Statement
from partner_platform.core.clock import isoformat
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.money import format_dollars

MAX_LINES = 5_000  # a PDF is made in memory, and for people
_FONT = "Helvetica"
_SMALL = 6.5  # points: a transaction's hash fits into its column
_COLUMNS = (
    ("Date", 28),
    ("Line", 42),
    ("Loan", 48),
    ("Amount", 26),
    ("Balance", 26),
    ("Block", 17),
    ("Transaction", 90),
)


def pdf_bytes(statement: Statement) -> bytes:
    """The whole statement; raises 400 `invalid_request` for one of more than `MAX_LINES` lines."""
    pdf = FPDF(orientation="landscape", format="A4")
    pdf.set_creation_date(statement.month.ends)
    pdf.set_title(f"Statement {statement.partner.partner_id} {statement.month}")
    pdf.set_auto_page_break(auto=True, margin=12)
    pdf.set_margins(10, 10)
    pdf.add_page()
    _head(pdf, statement)
    _cells(pdf, [title for title, _ in _COLUMNS], style="B")
    for number, line in enumerate(statement.lines()):
        if number == MAX_LINES:
            message = f"It has more than {MAX_LINES} lines: ask for text/csv"
            raise BadRequest(ErrorCode.INVALID_REQUEST, message, details={"Accept": [message]})
        _cells(pdf, _shown(line, statement.balance))
    _tail(pdf, statement)
    return bytes(pdf.output())


def _head(pdf: FPDF, statement: Statement) -> None:
    partner, month = statement.partner, statement.month
    _say(pdf, f"Statement of {month}", size=16, style="B")
    _say(pdf, f"{partner.partner_name} ({partner.partner_id})")
    _say(pdf, f"From {isoformat(month.begins)} until {isoformat(month.ends)}, UTC; amounts in USDC")
    if statement.is_provisional:
        _say(pdf, "Provisional: more may be booked in this month", style="B")
    _say(pdf, f"Opening balance {format_dollars(statement.opening)}", style="B")


def _tail(pdf: FPDF, statement: Statement) -> None:
    totals = statement.totals
    _say(pdf, f"Closing balance {format_dollars(statement.balance)}", style="B")
    if statement.pending:
        _say(pdf, f"Accepted and not drawn yet {format_dollars(statement.pending)}")
    for name, amount in {
        "Borrowed": totals.borrowed,
        "Repaid": totals.repaid,
        "of it interest": totals.interest,
        "Fees": totals.fees,
        "Written off": totals.written_off,
    }.items():
        _say(pdf, f"{name} {format_dollars(amount)}")


def _shown(line: BalanceLine, balance: int) -> list[str]:
    kind = f"UNDONE {line.undoes}" if line.undoes else str(line.kind)
    return [
        (isoformat(line.moment) or "")[:19].replace("T", " "),
        kind,
        line.partner_loan_id,
        format_dollars(line.amount),
        format_dollars(balance),
        "" if line.block is None else str(line.block),
        line.tx_hash,
    ]


def _say(pdf: FPDF, text: str, *, size: int = 10, style: str = "") -> None:
    pdf.set_font(_FONT, style=style, size=size)
    pdf.cell(0, size * 0.6, _latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _cells(pdf: FPDF, texts: Sequence[str], *, style: str = "") -> None:
    """A row; a text that is longer than its column, as a partner's id of a loan can be, is cut."""
    pdf.set_font(_FONT, style=style, size=_SMALL)
    for text, (_, width) in zip(texts, _COLUMNS, strict=True):
        pdf.cell(width, 4, _cut(pdf, _latin(text), width))
    pdf.ln()


def _cut(pdf: FPDF, text: str, width: float) -> str:
    if pdf.get_string_width(text) <= width - 2:
        return text
    while pdf.get_string_width(f"{text}...") > width - 2:
        text = text[:-1]
    return f"{text}..."


def _latin(text: str) -> str:
    """The standard fonts have Latin 1 only; another letter is a question mark."""
    return text.encode("latin-1", "replace").decode("latin-1")
