"""Updates of the index as jobs: one at a time, each in a process of its own, watched by a thread."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from clipwright.server.library.index_faults import index_busy
from clipwright.server.library.update_process import UpdateOrder

JobState = Literal["running", "done", "failed", "cancelled"]
_PATIENCE_SECONDS = 20.0
"""A job that was told to stop finishes its batch. Later than that it is killed, and loses that batch."""
_MOST_KEPT = 50


@dataclass(frozen=True)
class JobFault:
    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """An update, as it stands."""

    id: str
    roots: tuple[str, ...]
    """Names."""
    started: float
    """Seconds since 1970."""
    state: JobState = "running"
    done: int = 0
    """Files that were read."""
    total: int | None = None
    """Files that are to be read; None until the folders were looked through."""
    failed: int = 0
    """Files and folders that could not be used."""
    counts: dict[str, int] | None = None
    """At the end: fields of UpdateCounts."""
    error: JobFault | None = None
    ended: float | None = None


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    watcher: threading.Thread = field(init=False)
    is_cancelled: bool = False


class UpdateJobs:
    """The jobs of one index. Safe to use from several threads."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._running: _Process | None = None
        self._starting = threading.Lock()
        """Held while a process is started. The other one is never held for long: the event loop waits for it."""
        self._lock = threading.Lock()

    def start(self, roots: Sequence[str], order: UpdateOrder) -> Job:
        """A job that carries this out, begun. Raises RejectionError, 409, where one is under way; OSError where the
        system starts no process."""
        with self._starting:
            if self._running is not None:
                raise index_busy("an update of the index is under way; wait until it has ended, or cancel it")
            job = Job(secrets.token_hex(8), tuple(roots), time.time())
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", UpdateOrder.__module__],  # without the modules of the folder it runs in
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C on the server's terminal is for the server, which tells its jobs.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            running = _Process(process)
            running.watcher = threading.Thread(target=self._watch, args=(job.id, running, order), name="update")
            with self._lock:
                self._running = running
                self._jobs[job.id] = job
                for old in list(self._jobs)[:-_MOST_KEPT]:
                    del self._jobs[old]
            running.watcher.start()
            return job

    def jobs(self) -> list[Job]:
        """The latest first. Those that ended long ago are forgotten."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def job(self, id_: str) -> Job | None:
        with self._lock:
            return self._jobs.get(id_)

    def cancel(self, id_: str) -> None:
        """Tells a job to stop and keep what it did; nothing where it has ended."""
        with self._lock:
            job, running = self._jobs.get(id_), self._running
            if job is None or job.state != "running" or running is None or running.is_cancelled:
                return
            running.is_cancelled = True
        self._stop(running)

    def close(self) -> None:
        """Tells the job that runs to stop, and waits until it has."""
        with self._lock:
            running = self._running
            if running is not None:
                running.is_cancelled = True
        if running is not None:
            self._stop(running)
            running.watcher.join()

    def _stop(self, running: _Process) -> None:
        assert running.process.stdin is not None
        with contextlib.suppress(OSError):
            running.process.stdin.close()
        killer = threading.Timer(_PATIENCE_SECONDS, running.process.kill)
        killer.daemon = True
        killer.start()

    def _watch(self, id_: str, running: _Process, order: UpdateOrder) -> None:
        """Follows a job to its end, on a thread of its own."""
        process = running.process
        assert process.stdin is not None
        assert process.stdout is not None
        said: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # it died already, or was cancelled at once
            process.stdin.write(order.line())
            process.stdin.flush()
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # half a line: it was killed
                said |= json.loads(line)
                if "done" in said:
                    self._note(id_, said["done"], said["total"], said["failed"])
        status = process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        with self._lock:
            self._running = None
            self._jobs[id_] = replace(
                self._jobs[id_], ended=time.time(), **_outcome(said, status, running.is_cancelled)
            )

    def _note(self, id_: str, done: int, total: int, failed: int) -> None:
        with self._lock:
            self._jobs[id_] = replace(self._jobs[id_], done=done, total=total, failed=failed)


def _outcome(said: dict[str, Any], status: int, is_cancelled: bool) -> dict[str, Any]:
    """The fields of a job that has ended, from what its process said last of each and its exit status."""
    if "counts" in said:
        return {"state": "done", "counts": said["counts"]}
    if is_cancelled or "cancelled" in said:
        return {"state": "cancelled"}
    if "error" in said:
        return {"state": "failed", "error": JobFault(**said["error"])}
    how = f"it was ended by signal {-status}" if status < 0 else f"its exit status was {status}"
    return {
        "state": "failed",
        "error": JobFault(
            "update_died", f"the process that updated the index ended before its time ({how}); what it had done is kept"
        ),
    }
