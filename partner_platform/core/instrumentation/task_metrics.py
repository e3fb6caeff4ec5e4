"""What Celery's processes count (docs/metrics.md): beat and web publish tasks, the worker runs them."""

from partner_platform.core import metrics

published = metrics.counter("celery_tasks_published_total", "Tasks that were put into the queue", ["task"])
run = metrics.counter("celery_tasks_total", "Tasks that ran to their end, by their last state", ["task", "state"])
