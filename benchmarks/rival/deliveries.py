"""Webhooks as they are commonly sent: a Celery task each, `requests`, the row read and saved, autoretry."""

import hashlib
import hmac

import django
import requests
from celery import Celery
from django.conf import settings

django.setup()

from events.models import Event  # noqa: E402 - Django is set up first
from partner_platform.core.secrets import crypto  # noqa: E402
from webhooks.models import Delivery, DeliveryStatus  # noqa: E402

app = Celery("rival", broker=settings.REDIS_URL, set_as_current=False)
app.conf.task_default_queue = "rival"
app.conf.task_ignore_result = True


@app.task(autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=10)
def send_webhook(delivery_id: str) -> None:
    """Send one delivery."""
    delivery = Delivery.objects.select_related("endpoint").get(pk=delivery_id)
    body = Event.objects.get(pk=delivery.event_id).body.encode()
    secret = crypto.decrypt(delivery.endpoint.secret)
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Webhook-Signature": f"sha256={signature}",
        "X-Webhook-Event": delivery.event_type,
        "webhook-id": str(delivery.event_id),
    }
    response = requests.post(delivery.endpoint.url, data=body, headers=headers, timeout=15)
    response.raise_for_status()
    delivery.status = DeliveryStatus.DELIVERED
    delivery.attempts += 1
    delivery.last_status_code = response.status_code
    delivery.save()
