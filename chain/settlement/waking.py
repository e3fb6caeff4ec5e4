"""Waking the driver, so that a new operation goes out at once without a fast poll of the database.

A driver says that it listens: then it is woken, and no task is queued. Otherwise a task is, which becomes the driver.
Both only wake. Without Redis a running driver polls, and beat starts one.
"""

import logging

from celery import current_app
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from partner_platform.core.redis import wakeup

logger = logging.getLogger(__name__)

DRIVER = "settlement-driver"
LISTENING_SECONDS = 3  # a killed driver is missed after this
TASK = "chain.tasks.drive_settlement"  # by its name: tasks stand above services, which wake the driver


def wake_driver() -> None:
    """Wake the driver, or have one started. Never raises: beat's sweep finds what a lost wake-up leaves."""
    if wakeup.wake_listener(DRIVER):
        return
    try:
        current_app.send_task(TASK)
    except (CeleryError, KombuError, RedisError, OSError) as error:
        logger.warning("could not start the driver, the sweep will: %s", error)
