"""The rows of heartbeat; Django needs them all imported here."""

from heartbeat.models.alert import Alert
from heartbeat.models.component import Component
from heartbeat.models.job import Job, JobRun

__all__ = ["Alert", "Component", "Job", "JobRun"]
