"""What a node's refusal means.

Nodes word and wrap their errors differently, so a message is matched as lower-case substrings, in order: the narrower
text first. A message nobody listed is UNKNOWN, never a failure: the bytes may well be in the pool. Source:
docs/settlement.md.
"""

from enum import StrEnum
from typing import Any

from partner_platform.core.text.printable import printable

MESSAGE_LENGTH = 2_000


class RpcError(Exception):
    """The node answered with a JSON-RPC error object: its `code`, `message` and `data` (revert data where it has
    some).

    The message is the node's own words: what is kept of them can be shown, logged and stored as it is.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code = code
        self.message = printable(message, MESSAGE_LENGTH)
        super().__init__(f"{self.message} ({code})")
        self.data = data


class SendClass(StrEnum):
    """What to do after one send of a signed transaction."""

    ACCEPTED = "ACCEPTED"  # the node took it
    ALREADY_KNOWN = "ALREADY_KNOWN"  # it has it: as good as accepted
    NONCE_TOO_LOW = "NONCE_TOO_LOW"  # something with this nonce was mined: look up ours by hash
    NONCE_TOO_HIGH = "NONCE_TOO_HIGH"  # it waits for an earlier one: resend
    UNDERPRICED = "UNDERPRICED"  # bump the same nonce
    NO_FUNDS = "NO_FUNDS"  # no gas money: the wallet pauses, the nonce is kept
    NO_ROOM = "NO_ROOM"  # the pool or the block takes no such transaction now: resend later
    MALFORMED = "MALFORMED"  # no node will ever take these bytes: where the endpoints agree, a noop takes the nonce
    WOULD_REVERT = "WOULD_REVERT"  # the node simulated it and did not like the end; another may take it: resend
    UNKNOWN = "UNKNOWN"  # time-outs, lost answers, unknown words: keep, resend the same bytes


# Order matters: "replacement transaction underpriced" and "transaction underpriced" mean the same here, "intrinsic
# gas too low" must not be taken for another "too low".
_MEANINGS: tuple[tuple[str, SendClass], ...] = (
    ("already known", SendClass.ALREADY_KNOWN),
    ("already imported", SendClass.ALREADY_KNOWN),
    ("nonce too low", SendClass.NONCE_TOO_LOW),
    ("nonce too high", SendClass.NONCE_TOO_HIGH),
    ("replacement transaction underpriced", SendClass.UNDERPRICED),
    ("transaction underpriced", SendClass.UNDERPRICED),
    ("max fee per gas less than block base fee", SendClass.UNDERPRICED),
    ("insufficient gas for l1cost", SendClass.NO_ROOM),
    ("insufficient funds", SendClass.NO_FUNDS),
    ("exceeds block gas limit", SendClass.NO_ROOM),
    ("account limit exceeded", SendClass.NO_ROOM),
    ("in-flight transaction limit reached", SendClass.NO_ROOM),
    ("env.block.gas_limit", SendClass.NO_ROOM),  # revm's words for it, behind anvil's "intrinsic gas too high"
    ("intrinsic gas too low", SendClass.MALFORMED),
    ("intrinsic gas too high", SendClass.MALFORMED),
    ("invalid sender", SendClass.MALFORMED),
    ("oversized data", SendClass.MALFORMED),
    ("invalid chain id", SendClass.MALFORMED),
    ("execution reverted", SendClass.WOULD_REVERT),
)


def classify(message: str) -> SendClass:
    """The meaning of a node's error message; UNKNOWN where it is none of the listed."""
    text = message.lower()
    return next((meaning for listed, meaning in _MEANINGS if listed in text), SendClass.UNKNOWN)


# The weightier answer first: what one endpoint accepted is accepted, whatever another says. One that is acted on with
# the nonce kept (bump, pause) outweighs an endpoint that said nothing; MALFORMED, after which a noop takes the nonce,
# outweighs nobody.
_WEIGHT = (
    SendClass.ACCEPTED,
    SendClass.ALREADY_KNOWN,
    SendClass.NONCE_TOO_LOW,
    SendClass.UNDERPRICED,
    SendClass.NO_FUNDS,
    SendClass.NO_ROOM,
    SendClass.NONCE_TOO_HIGH,
    SendClass.WOULD_REVERT,
    SendClass.UNKNOWN,
    SendClass.MALFORMED,
)


def combine(meanings: list[SendClass]) -> SendClass:
    """One meaning out of the answers of several endpoints to the same bytes.

    MALFORMED remains only where all endpoints say so; one that did not answer (UNKNOWN) may have taken it. A bump and a
    pause keep the nonce, so they are right even then.
    """
    return min(meanings, key=_WEIGHT.index, default=SendClass.UNKNOWN)
