"""The job application. What runs when is in the table of jobs; its messages only wake workers (decision 0014)."""

from celery import Celery
from django.conf import settings

from agenthub.core.spool import spool_options

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
)
if settings.ENVIRONMENT.redis_url is not None:
    # A Redis that takes no connection, or does not answer, must not hold up the scheduler for long.
    app.conf.update(
        broker_url=settings.ENVIRONMENT.redis_url,
        # Hubs may share a Redis; the queue of an embedded one lies in a folder of its own.
        task_default_queue=f"{settings.ENVIRONMENT.name_on_redis}-jobs",
        broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 15},
    )
else:
    app.conf.update(
        broker_url="spool://localhost",
        broker_transport_options=spool_options(settings.ENVIRONMENT.queue_dir, longest_wait_seconds=0.5),
    )
app.autodiscover_tasks()
