"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from clipwright.server.rejection import ItemFault, RejectionCode, RejectionError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One server's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "clipwright_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._latency = Histogram(
            "clipwright_request_seconds",
            "From a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rejected = Counter(
            "clipwright_rejected_requests", "Requests not carried out, by reason.", ["code"], registry=self.registry
        )
        self._failed_items = Counter(
            "clipwright_failed_items", "Pictures and texts that could not be used.", ["code"], registry=self.registry
        )
        self._queue = Gauge(
            "clipwright_queued_items", "Items that wait for a model or are in it.", ["model"], registry=self.registry
        )
        self._batches = Histogram(
            "clipwright_batch_items",
            "Items that a model was given at once.",
            ["model", "kind"],
            buckets=_BATCHES,
            registry=self.registry,
        )
        self._restarts = Counter(
            "clipwright_worker_restarts", "Workers that died and were started again.", ["model"], registry=self.registry
        )
        self._memory = Gauge(
            "clipwright_worker_memory_bytes", "Resident memory of a model's process.", ["model"], registry=self.registry
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def rejected(self, code: RejectionCode) -> None:
        self._rejected.labels(code).inc()

    def refused(self, rejection: RejectionError) -> None:
        """A request that is not carried out, and the items that are why."""
        self.rejected(rejection.code)
        self.items_failed(rejection.faults)

    def items_failed(self, faults: Iterable[ItemFault]) -> None:
        for fault in faults:
            self._failed_items.labels(fault.code).inc()

    def watch_queue(self, model: str, items: Callable[[], int]) -> None:
        """items is asked whenever the metrics are."""
        self._queue.labels(model).set_function(items)

    def batch_ran(self, model: str, kind: str, items: int) -> None:
        """kind: 'picture' or 'text'."""
        self._batches.labels(model, kind).observe(items)

    def worker_restarted(self, model: str) -> None:
        self._restarts.labels(model).inc()

    def worker_memory(self, model: str, resident_bytes: int) -> None:
        self._memory.labels(model).set(resident_bytes)

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        return generate_latest(self.registry)
