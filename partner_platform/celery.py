"""The Celery application. A task only triggers work: the database says what is due, and beat runs every task
regularly.
"""

import os

from celery import Celery, Task
from celery.signals import after_task_publish, task_postrun, worker_init

from partner_platform.core.interpreter import share_fairly

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")

app = Celery("partner_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _share_fairly(**_: object) -> None:
    share_fairly()


@after_task_publish.connect
def _count_published(sender: str, **_: object) -> None:
    from partner_platform.core.instrumentation import task_metrics  # when Django is set up

    task_metrics.published.labels(task=sender).inc()


@task_postrun.connect
def _count_run(task: Task, state: str | None, **_: object) -> None:
    from partner_platform.core.instrumentation import task_metrics

    task_metrics.run.labels(task=task.name, state=state or "UNKNOWN").inc()
