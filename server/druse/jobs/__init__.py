"""Background jobs: schedules, events, leases."""

from druse.jobs.catalogue import jobs_of, jobs_of_server
from druse.jobs.commits import CommitWatch
from druse.jobs.job import Job, Trigger
from druse.jobs.scheduler import Scheduler, latest_slot, next_due

__all__ = ["CommitWatch", "Job", "Scheduler", "Trigger", "jobs_of", "jobs_of_server", "latest_slot", "next_due"]
