"""Disabling an endpoint that answers 410 or has failed for days, with an e-mail that tells the partner."""

import datetime as dt

from partners.models import Partner
from partners.notices import mail
from webhooks.models import Endpoint
from webhooks.services.endpoints import disable_endpoint

GONE = "It answered 410 Gone"
FAILED_FOR_LONG = "Every delivery failed for five days"


def disable(endpoint: Endpoint, *, reason: str, now: dt.datetime) -> bool:
    """Disable it in the caller's transaction, which has written the results of its deliveries before.

    What is still pending fails. False where it was disabled or deleted already.
    """
    if not disable_endpoint(endpoint_id=endpoint.pk, actor="system", reason=reason):
        return False
    path = f"/partners/my/webhooks/{endpoint.pk}"
    mail.queue_mail(
        partner=Partner.objects.get(pk=endpoint.partner_id),
        once=f"webhook.endpoint_disabled:{endpoint.pk.hex}:{int(now.timestamp())}",
        subject="A webhook endpoint was disabled",
        text=(
            f"Your webhook endpoint {endpoint.url} was disabled: {reason[0].lower()}{reason[1:]}.\n\n"
            f"It gets no more events. PATCH {path} enables it again. POST {path}/resend sends again what it missed, "
            "and GET /partners/my/events shows it."
        ),
    )
    return True
