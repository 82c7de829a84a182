"""What the broker carries: that a run is ready. The table of runs is the truth; a message only wakes."""

from celery import shared_task

from heartbeat.running import run_execute


@shared_task
def job_run(run_id: int) -> None:
    """Do a run, unless another worker was quicker."""
    run_execute(run_id)
