"""A statement as JSON, written in pieces: the closing balance and the totals come behind the lines."""

import json
from collections.abc import Iterator

from loans.statements.lines import BalanceLine
from loans.statements.statement import Statement
from partner_platform.core.clock import isoformat

LINES_IN_PIECE = 500


def json_chunks(statement: Statement) -> Iterator[str]:
    """The fields of `loans.api.statements.StatementState`."""
    head = {
        "partnerId": statement.partner.partner_id,
        "partnerName": statement.partner.partner_name,
        "month": str(statement.month),
        "from": isoformat(statement.month.begins),
        "until": isoformat(statement.month.ends),
        "isProvisional": statement.is_provisional,
        "openingBalance": str(statement.opening),
    }
    piece = [json.dumps(head)[:-1], ', "lines": [']
    for number, line in enumerate(statement.lines()):
        piece.append((", " if number else "") + json.dumps(present_line(line, statement.balance)))
        if len(piece) >= LINES_IN_PIECE:
            yield "".join(piece)
            piece = []
    totals = statement.totals
    tail = {
        "closingBalance": str(statement.balance),
        "pending": None if statement.pending is None else str(statement.pending),
        "totals": {
            "borrowed": str(totals.borrowed),
            "repaid": str(totals.repaid),
            "fees": str(totals.fees),
            "interest": str(totals.interest),
            "writtenOff": str(totals.written_off),
        },
    }
    yield "".join([*piece, "], ", json.dumps(tail)[1:]])


def present_line(line: BalanceLine, balance: int) -> dict[str, object]:
    """The fields of `loans.api.statements.StatementLine`; `balance` is that behind the line."""
    return {
        "date": isoformat(line.moment),
        "kind": line.kind,
        "undoes": line.undoes,
        "partnerLoanId": line.partner_loan_id,
        "amount": str(line.amount),
        "balanceChange": str(line.change),
        "balance": str(balance),
        "txHash": line.tx_hash or None,
        "blockNumber": line.block,
    }
