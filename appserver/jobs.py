"""Long work as jobs with progress. A job lives in memory; its result is a value or a file in the data folder."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("jobs")

MAX_JOBS = 200
MAX_PAYLOADS = 5
RUNNING = frozenset({"queued", "running"})

Progress = Callable[[int, int], None]
"""``progress(done, total)``, callable from any thread."""


class JobFailed(Exception):
    """The work refuses its input; the text is for people."""


@dataclass(slots=True)
class Job:
    """One piece of work."""

    id: str
    kind: str
    created_at_us: int
    created_by: str
    state: str = "queued"
    """``queued``, ``running``, ``done`` or ``failed``."""
    done: int = 0
    total: int = 0
    error: str = ""
    result: Any = None
    file: Path | None = None
    media_type: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    payload: Any = None
    """What was uploaded, as long as it may be wanted; in memory only, for it may hold keys."""

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def percent(self) -> int:
        if self.state == "done":
            return 100
        return min(100 * self.done // self.total, 99) if self.total else 0


class Jobs:
    """Runs jobs, two at a time, and remembers the last ones."""

    def __init__(self, folder: Path, clock: Callable[[], int], parallel: int = 2) -> None:
        self.folder = folder
        self._clock = clock
        self._gate = asyncio.Semaphore(parallel)
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.iterdir():
            left_over.unlink(missing_ok=True)

    def of_kind(self, kind: str) -> list[Job]:
        """Jobs of a kind, newest first."""
        return [job for job in reversed(self._jobs.values()) if job.kind == kind]

    def get(self, job_id: str, kind: str) -> Job | None:
        """The job with this id."""
        job = self._jobs.get(job_id)
        return job if job is not None and job.kind == kind else None

    def add(self, kind: str, created_by: str, parameters: dict[str, Any] | None = None) -> Job:
        """A new job that waits for :meth:`start`; the oldest finished ones make room."""
        for old in [job for job in self._jobs.values() if not job.running][: max(len(self._jobs) - MAX_JOBS + 1, 0)]:
            self._forget(old)
        for old in self.of_kind(kind)[MAX_PAYLOADS - 1 :]:
            old.payload = None
        job = Job(secrets.token_hex(8), kind, self._clock(), created_by, parameters=parameters or {})
        self._jobs[job.id] = job
        return job

    def start(self, job: Job, work: Callable[[Progress], Awaitable[Any]]) -> asyncio.Task[None]:
        """Run ``work(progress)``; what it returns is the job's result."""
        task = asyncio.create_task(self._run(job, work), name=f"job {job.kind} {job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, job: Job, work: Callable[[Progress], Awaitable[Any]]) -> None:
        def progress(done: int, total: int) -> None:
            job.done, job.total = done, total

        async with self._gate:
            job.state = "running"
            try:
                job.result = await work(progress)
                job.state = "done"
            except JobFailed as refusal:
                job.state, job.error = "failed", str(refusal)
            except Exception:
                log.error("job failed", kind=job.kind, id=job.id, trace=traceback.format_exc())
                job.state, job.error = "failed", "The work ended with a fault; the server's log says which."

    def _forget(self, job: Job) -> None:
        if job.file is not None:
            job.file.unlink(missing_ok=True)
        del self._jobs[job.id]

    async def close(self) -> None:
        """Stop waiting for jobs; a thread at work ends by itself."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
