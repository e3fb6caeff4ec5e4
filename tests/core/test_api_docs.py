"""docs/api.md tells partners of every error, and of none that does not exist."""

import re
from http import HTTPStatus
from pathlib import Path

from partner_platform.core.errors import ErrorCode

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
_ROW = re.compile(r"^\| (\d{3}) \| `([a-z_]+)` \|", re.MULTILINE)


def test_the_table_of_errors_has_every_code_once_and_no_other() -> None:
    _, _, errors = PAGE.read_text().partition("\n## Errors\n")
    codes = [code for _, code in _ROW.findall(errors)]

    assert sorted(codes) == sorted(str(code) for code in ErrorCode)


def test_every_status_in_the_table_is_one_of_an_error() -> None:
    statuses = {int(status) for status, _ in _ROW.findall(PAGE.read_text())}

    assert min(statuses) >= 400
    assert all(HTTPStatus(status).phrase for status in statuses)
