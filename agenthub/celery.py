"""The job application: what runs is in the `tasks.py` of each part, when it runs in `heartbeat/jobs.py`."""

from celery import Celery
from django.conf import settings

from agenthub.core.spool import spool_options
from heartbeat.jobs import JOBS

app = Celery("agenthub")
app.conf.update(
    # The message only wakes a worker; what must not be lost is in the database.
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    timezone="UTC",
    task_default_queue="agenthub",
    beat_schedule={
        # A tick that nobody took before the next one came is worth nothing.
        job.name: {"task": job.task, "schedule": job.every_seconds, "options": {"expires": job.every_seconds}}
        for job in JOBS
    },
)
if settings.ENVIRONMENT.redis_url is not None:
    app.conf.update(broker_url=settings.ENVIRONMENT.redis_url)
else:
    app.conf.update(
        broker_url="spool://localhost",
        broker_transport_options=spool_options(settings.ENVIRONMENT.queue_dir, longest_wait_seconds=0.5),
    )
app.autodiscover_tasks()
