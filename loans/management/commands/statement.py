"""`manage.py statement`: a partner's statement of a month, as JSON, CSV or PDF."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from django.core.management.base import CommandError, CommandParser

from loans.statements.as_csv import csv_statement
from loans.statements.as_json import json_chunks
from loans.statements.as_pdf import pdf_bytes
from loans.statements.statement import Statement, open_statement
from partner_platform.core.errors import BadRequest
from partner_platform.core.management.output import JsonCommand
from partners.management.support import require_partner

FORMATS = ("json", "csv", "pdf")


class Command(JsonCommand):
    help = (
        "Show a partner's statement of a month: opening balance, every line with its transaction, closing balance. "
        "Amounts are USDC base units (in the PDF dollars). Example: manage.py statement partner_xyz_001 2026-10 "
        "--format pdf --output 2026-10.pdf"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_001")
        parser.add_argument("month", help="such as 2026-10, in UTC; one that is not over is provisional")
        parser.add_argument("--format", choices=FORMATS, default="json", help="json is also what --json says")
        parser.add_argument("--output", type=Path, help="a file; default: standard output (not for a PDF)")

    def handle(self, *args: object, **options: object) -> None:
        output = cast(Path | None, options["output"])
        form = "json" if self.as_json else str(options["format"])
        if form == "pdf" and output is None:
            raise CommandError("A PDF needs --output FILE.")
        try:
            statement = open_statement(require_partner(str(options["partner_id"])), str(options["month"]))
            pieces = _pieces(statement, form)
            if output is None:
                for piece in pieces:
                    self.stdout.write(piece.decode(), ending="")
                return
            with output.open("wb") as file:
                file.writelines(pieces)
        except BadRequest as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}") from error
        self.say(f"{output}: the statement of {statement.month}, {form.upper()}")


def _pieces(statement: Statement, form: str) -> Iterator[bytes]:
    if form == "pdf":
        yield pdf_bytes(statement)
        return
    for chunk in csv_statement(statement) if form == "csv" else json_chunks(statement):
        yield chunk.encode()
    if form == "json":
        yield b"\n"
