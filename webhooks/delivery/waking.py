"""Waking the sender, so that an event goes out at once without a fast poll of the database.

A sender says that it listens: then it is woken. Otherwise a task is queued, which becomes the sender. Without Redis a
running sender looks every second, and beat starts one.
"""

import logging

from celery import current_app
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from partner_platform.core.redis import wakeup

logger = logging.getLogger(__name__)

SENDER = "webhook-sender"
LISTENING_SECONDS = 4  # a killed sender is missed after this
EXPIRES_SECONDS = 5  # of a task that no worker takes: beat sends one every 2 seconds, and so they do not pile up
TASK = "webhooks.tasks.deliver"  # by its name: tasks stand above the modules that wake


def wake_sender() -> None:
    """Wake the sender, or have one started. Never raises: beat starts one where a wake-up was lost."""
    if wakeup.wake_listener(SENDER):
        return
    try:
        current_app.send_task(TASK, expires=EXPIRES_SECONDS)
    except (CeleryError, KombuError, RedisError, OSError) as error:
        logger.warning("could not start the webhooks' sender, beat will: %s", error)
