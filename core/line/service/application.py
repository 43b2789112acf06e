"""Inspection over HTTP: the addresses, what they take and what they answer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from core.errors import CfaError
from core.line.service.bodies import Held, read_image_bytes
from core.line.service.forms import Wanted, wanted_form
from core.line.service.gate import OUTCOME, Gate
from core.line.service.limits import Limits
from core.line.service.metrics import Metrics
from core.line.service.models import ServedModel, Shelf
from core.line.service.openapi import ABOUT, INSPECT, NOT_READY, PROBLEMS, describe
from core.line.service.page import CONTENT_POLICY, PAGE
from core.line.service.problems import ClientGone, Problem, answer_problems, busy
from core.line.service.queue import WorkQueue
from core.line.service.results import Answer, Form, answer
from core.line.service.schemas import Health, InspectionResult, ModelInfo, Models
from core.line.service.token import is_right
from core.version import VERSION

Name = Annotated[str, Path(description="A model's name, as /models lists it.")]
MapQuery = Annotated[
    Wanted | None, Query(alias="map", description="Instead of the Accept header: what to answer with.")
]


@dataclass(frozen=True, slots=True)
class Service:
    """What the addresses work with.

    Attributes:
        shelf: The models.
        limits: Bounds.
        token: Asked of every request but for health and the page; None: of none.
    """

    shelf: Shelf
    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    held: Held = field(init=False)
    queue: WorkQueue = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", Held(self.limits.held_bytes))
        object.__setattr__(self, "queue", WorkQueue(self.limits))
        self.metrics.watch("cfa_queue_length", "Images that wait for a worker.", lambda: self.queue.waiting)
        self.metrics.watch("cfa_queue_limit", "How many may.", lambda: self.limits.queue)
        self.metrics.watch("cfa_working", "Images at work.", lambda: self.queue.working)
        self.metrics.watch("cfa_held_bytes", "Bytes of requests in memory.", lambda: self.held.bytes)
        self.metrics.watch("cfa_ready", "1 once every model is loaded and warmed.", lambda: self.shelf.ready)

    async def inspect(self, name: str, request: Request, wanted: Wanted | None) -> Response:
        """Answer one inspection."""
        form = wanted_form(wanted, request.headers.get("accept"))
        model = self._model(name)
        self.queue.require_room()
        with self.held.share() as share:
            data = await read_image_bytes(request, self.limits, share)
            arrived = time.perf_counter()
            found = await self._worked(request, lambda: _timed(model, data, form, self.limits.pixels, arrived))
        self.metrics.inspection(found)
        request.scope[OUTCOME] = f"{found.result.model} {found.result.verdict} {found.result.score:.4g}"
        return _response(found, form)

    def _model(self, name: str) -> ServedModel:
        try:
            model = self.shelf.get(name)
        except KeyError:
            listed = ", ".join(self.shelf.names)
            raise Problem(404, f"There is no model of that name here. There are: {listed}.") from None
        if model is None:
            raise busy(f"The model {name} is not loaded yet. Try again in a moment.")
        return model

    async def _worked(self, request: Request, work: Callable[[], Answer]) -> Answer:
        """The work's result, unless the client goes away or it takes too long."""
        working = asyncio.ensure_future(self.queue.run(work))
        gone = asyncio.ensure_future(_gone(request))
        try:
            done, _ = await asyncio.wait(
                {working, gone}, timeout=self.limits.work_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if working in done:
                return working.result()
            if gone in done:
                raise ClientGone
            raise busy(f"The image was not inspected within {self.limits.work_seconds:g} seconds. Try again later.")
        finally:
            for task in (working, gone):
                task.cancel()

    def info(self, name: str) -> ModelInfo:
        """What is told of one model."""
        model = self.shelf.get(name)
        line = None if model is None else model.threshold
        return ModelInfo(
            name=name,
            default=name == self.shelf.names[0],
            ready=model is not None,
            identity=None if model is None else model.identity,
            threshold=None if line is None else line.value,
            lower=None if line is None else line.lower,
            threshold_in_words=None if line is None else line.sentence(),
            created=None if model is None else model.inspector.trained.created,
        )

    async def reload(self, name: str) -> ModelInfo:
        """Read a model's file again; on failure what is there stays.

        Raises:
            Problem: It cannot be used.
        """
        self._model(name)
        try:
            await asyncio.to_thread(self.shelf.load, name)
        except CfaError as error:
            self.metrics.reload(name, "failed")
            raise Problem(409, f"The model loaded before stays. {error}") from error
        self.metrics.reload(name, "ok")
        return self.info(name)


async def _gone(request: Request) -> None:
    """Returns once the client has closed the connection; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timed(model: ServedModel, data: bytes, form: Form, most_pixels: int, arrived: float) -> Answer:
    """On a worker thread: `answer`, with the time since the request had arrived."""
    waiting = 1000 * (time.perf_counter() - arrived)
    found = answer(model, data, form, most_pixels)
    times = found.result.milliseconds
    times.waiting, times.total = round(waiting, 3), round(times.total + waiting, 3)
    return found


def _response(found: Answer, form: Form) -> Response:
    result = found.result
    if found.picture is None:
        return JSONResponse(result.model_dump())
    headers = {
        "Cfa-Model": result.model,
        "Cfa-Identity": result.identity,
        "Cfa-Score": repr(result.score),
        "Cfa-Threshold": repr(result.threshold),
        "Cfa-Verdict": result.verdict,
        "Cfa-Regions": str(len(result.regions)),
        "Cfa-Milliseconds": repr(result.milliseconds.total),
        "Vary": "Accept",
    }
    return Response(found.picture, media_type=form.value, headers=headers)


class _Bearer(HTTPBearer):
    """Asks for the token before anything else of the request is looked at."""

    def __init__(self, token: str) -> None:
        super().__init__(auto_error=False, description="The token that the service was started with.")
        self._token = token

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        if not is_right(self._token, request.headers.get("authorization")):
            sentence = "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`."
            raise Problem(401, sentence, {"WWW-Authenticate": "Bearer"})


def make_app(service: Service) -> Gate:
    """The ASGI application."""
    app = FastAPI(
        title="CFA inspection",
        version=VERSION,
        description=ABOUT,
        docs_url=None,  # its pages take their scripts from the internet
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    answer_problems(app)
    app.include_router(_open_routes(service))
    guards = [] if service.token is None else [Depends(_Bearer(service.token))]
    app.include_router(_guarded_routes(service), dependencies=guards)
    schema = describe(app, service.shelf.names, secured=service.token is not None)

    @app.get("/openapi.json", include_in_schema=False, dependencies=guards)
    async def openapi() -> dict[str, Any]:
        return schema

    return Gate(app, service.metrics, this_machine_only=service.token is None)


def _open_routes(service: Service) -> APIRouter:
    """What is told to everybody."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": CONTENT_POLICY})

    @router.get("/health", tags=["health"], summary="Whether images can be inspected", responses=NOT_READY)
    async def health() -> Health:
        """200 once every model is loaded and warmed, 503 before."""
        if not service.shelf.ready:
            raise busy("The models are being loaded.")
        return Health(status="ready", version=VERSION)

    @router.get("/health/live", tags=["health"], summary="Whether the process answers")
    async def live() -> Health:
        """200 as long as it does, also while models are being loaded."""
        return Health(status="live", version=VERSION)

    return router


def _guarded_routes(service: Service) -> APIRouter:
    """What is told to those who have the token."""
    router = APIRouter()
    default = service.shelf.names[0]

    @router.post("/inspect", response_model=InspectionResult, **INSPECT)
    async def inspect(request: Request, wanted: MapQuery = None) -> Response:
        """Inspect an image with the first model that was named at the start."""
        return await service.inspect(default, request, wanted)

    @router.post("/models/{name}/inspect", response_model=InspectionResult, **INSPECT)
    async def inspect_with(name: Name, request: Request, wanted: MapQuery = None) -> Response:
        """Inspect an image with the model of that name."""
        return await service.inspect(name, request, wanted)

    @router.get("/models", tags=["models"], summary="The models")
    async def models() -> Models:
        """Names, thresholds and identities; the default first."""
        return Models(models=[service.info(name) for name in service.shelf.names])

    @router.post(
        "/models/{name}/reload", tags=["models"], summary="Read a model's file again", **PROBLEMS(404, 409, 503)
    )
    async def reload(name: Name) -> ModelInfo:
        """Loads it fully, warms it, then swaps; requests at work end with the old one. On failure the old one stays."""
        return await service.reload(name)

    @router.get("/metrics", tags=["health"], summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Requests by route and status, verdicts by model, times, queue, memory of the process."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
