"""The headers of a post: the plan's, and those of Standard Webhooks.

Both sign the body's bytes as they are sent. While two secrets are live, both sign: `webhook-signature` lists them
separated by spaces, as that standard says, and `X-Webhook-Signature` separated by commas, the newest first. Who checks
the plan's header against one secret alone finds it as `sha256=…` again when the rotation is over.
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

from standardwebhooks import Webhook

USER_AGENT = "PartnerPlatform-Webhooks/1.0"


def signed_headers(
    *, event_id: UUID, event_type: str, body: str, secrets: Sequence[str], now: dt.datetime
) -> dict[str, str]:
    """What a post of this event carries; `secrets` are the live ones (`whsec_…`), the newest first."""
    # The library takes the time as UTC whatever its zone says, and drops the fraction of the second.
    moment = now.astimezone(dt.UTC).replace(tzinfo=None)
    standard = [Webhook(secret).sign(str(event_id), moment, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-Webhook-Event": event_type,
        "X-Webhook-Timestamp": str(int(now.timestamp() * 1000)),
        "X-Webhook-Signature": ",".join(f"sha256={_plain(secret, body)}" for secret in secrets),
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(standard),
    }


def _plain(secret: str, body: str) -> str:
    """HMAC-SHA256 of the body, keyed with the secret's text, prefix included."""
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
