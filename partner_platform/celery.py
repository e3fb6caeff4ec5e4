"""The Celery application. Tasks are nudges: what is due stands in the database and beat sweeps it up."""

import os

from celery import Celery
from celery.signals import worker_init

from partner_platform.core.interpreter import share_fairly

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")

app = Celery("partner_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _share_fairly(**_: object) -> None:
    share_fairly()
