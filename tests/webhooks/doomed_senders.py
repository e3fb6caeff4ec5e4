"""Senders that are killed at random: a process that starts them one after the other, and lets the last one end.

    python -m tests.webhooks.doomed_senders KILLS SEED

Two at a time. What a claim and a post last is shorter than in production, as the schedule is.
"""

import logging
import os
import random
import signal
import sys
import time

import django

LIVES_SECONDS = (0.15, 0.7)
AT_ONCE = 2
CLAIM_SECONDS = 1.2
POST_SECONDS = 0.4


def main() -> None:
    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    from webhooks.delivery import claims

    claims.CLAIM_SECONDS, claims.RENEW_SECONDS, claims.SENDING_SECONDS = CLAIM_SECONDS, 0.3, 0.6
    chance = random.Random(seed)  # noqa: S311 - a fixed history, not a secret
    senders = [start() for _ in range(AT_ONCE)]
    for _ in range(kills):
        time.sleep(chance.uniform(*LIVES_SECONDS))
        victim = senders.pop(chance.randrange(AT_ONCE))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        senders.append(start())
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(sender, 0)[1]) for sender in senders))


def start() -> int:
    """A sender as a process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        send_all()
        status = 0
    except Exception:
        logging.getLogger(__name__).exception("a sender failed")
    finally:
        os._exit(status)


def send_all() -> None:
    """Send until nothing is pending: what a killed one had claimed is due a little later."""
    from partner_platform.core.outside import OutsideClient
    from webhooks.delivery import sender
    from webhooks.models import Delivery, DeliveryStatus

    client = OutsideClient(timeout_seconds=POST_SECONDS)
    sender.LOOK_SECONDS = sender.QUIET_SECONDS = 0.2
    while True:
        sender.run_sender(max_seconds=120, client=client)
        if Delivery.objects.exists() and not Delivery.objects.filter(status=DeliveryStatus.PENDING).exists():
            return


if __name__ == "__main__":
    main()
