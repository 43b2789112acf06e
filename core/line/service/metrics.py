"""What the service counts, in Prometheus form. Labels are routes, statuses, models and verdicts: a bounded number."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from core.line.service.results import Answer

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("cfa_requests", "Requests answered.", ("route", "status"), registry=registry)
        self._verdicts = Counter("cfa_inspections", "Images inspected.", ("model", "verdict"), registry=registry)
        self._seconds = Histogram(
            "cfa_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._stages = Histogram(
            "cfa_inspection_seconds",
            "Parts of an inspection: waiting, decoding, inspecting; and total.",
            ("model", "stage"),
            registry=registry,
            buckets=_SECONDS,
        )
        self._reloads = Counter("cfa_reloads", "Models read again.", ("model", "outcome"), registry=registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A figure that is asked for when the metrics are."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def inspection(self, answer: Answer) -> None:
        """One image inspected."""
        result = answer.result
        self._verdicts.labels(result.model, result.verdict).inc()
        for stage, milliseconds in result.milliseconds.model_dump().items():
            self._stages.labels(result.model, stage).observe(milliseconds / 1000)

    def reload(self, model: str, outcome: str) -> None:
        """A model was read again (`ok`), or could not be (`failed`)."""
        self._reloads.labels(model, outcome).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
