"""The Celery application. Tasks are nudges: what is due stands in the database and beat sweeps it up."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")

app = Celery("partner_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
