"""What the OpenAPI of the service says beyond what its types do."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from core.line.service.problems import MEDIA_TYPE
from core.line.service.schemas import ProblemBody

ABOUT = """\
Send an image, get its anomaly score, its verdict and the flagged regions, or the heat map. The scores are those of the
program and of `cfa inspect`. Errors are problem+json (RFC 9457) with a sentence that says what to do.
"""
_SAID = {
    400: "The multipart form is damaged.",
    401: "The token is missing or wrong.",
    403: "Without a token the service answers to this machine only.",
    404: "There is no model of that name.",
    406: "None of the forms that there are is accepted.",
    408: "The request did not arrive in time.",
    409: "The file cannot be used; the model loaded before stays.",
    413: "Too many bytes, or too many pixels.",
    422: "The image cannot be read, the model's regions leave nothing of it, or a parameter does not fit.",
    500: "A fault of the service.",
    503: "Too much to do, or not loaded yet; try again after `Retry-After` seconds.",
}
_BINARY = {"type": "string", "format": "binary"}
_RESULT_HEADERS = {
    "Cfa-Score": {"description": "As `score` in JSON; with pictures only.", "schema": {"type": "number"}},
    "Cfa-Threshold": {"description": "As `threshold`.", "schema": {"type": "number"}},
    "Cfa-Verdict": {"description": "As `verdict`.", "schema": {"type": "string"}},
    "Cfa-Regions": {"description": "How many `regions`.", "schema": {"type": "integer"}},
    "Cfa-Model": {"description": "As `model`.", "schema": {"type": "string"}},
    "Cfa-Identity": {"description": "As `identity`.", "schema": {"type": "string"}},
    "Cfa-Milliseconds": {"description": "As `milliseconds.total`.", "schema": {"type": "number"}},
}


def PROBLEMS(*statuses: int) -> dict[str, Any]:  # noqa: N802  reads as the constants beside it
    """Keywords of a route that may fail so."""
    return {"responses": {status: _problem(status) for status in statuses}}


def _problem(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": _SAID[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == 503:
        told["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return told


NOT_READY: dict[int | str, dict[str, Any]] = {503: _problem(503)}
INSPECT: dict[str, Any] = {
    "tags": ["inspection"],
    "summary": "Inspect an image",
    "responses": {
        200: {
            "description": "The result; or, by `?map=` or the Accept header, a picture with the result in its headers.",
            "headers": _RESULT_HEADERS,
            "content": {
                "image/png": {"schema": _BINARY},  # the image with the heat map over it
                "image/tiff": {"schema": _BINARY},  # float32, one score for each pixel of the image, NaN: not inspected
            },
        },
        **{status: _problem(status) for status in (400, 404, 406, 408, 413, 422, 503)},
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "A picture (PNG, JPEG, TIFF, BMP, WebP, GIF, PGM/PPM) as the body, or the file of a form. "
            "What it is, its content decides, not its content type.",
            "content": {
                "application/octet-stream": {"schema": _BINARY},
                "image/png": {"schema": _BINARY},
                "image/jpeg": {"schema": _BINARY},
                "image/tiff": {"schema": _BINARY},
                "multipart/form-data": {
                    "schema": {"type": "object", "required": ["image"], "properties": {"image": _BINARY}}
                },
            },
        }
    },
}


def describe(app: FastAPI, names: Sequence[str], *, secured: bool) -> dict[str, Any]:
    """The OpenAPI document, with the models that there are; every error in it is a problem."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    problem = ProblemBody.model_json_schema()
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own, which are not sent
        schemas.pop(name, None)
    schemas["Problem"] = problem
    for path in schema["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "name":
                    parameter["schema"]["enum"] = list(names)
            _complete(operation["responses"], secured=secured and "security" in operation)
    return schema


def _complete(responses: dict[str, Any], *, secured: bool) -> None:
    if "422" in responses:
        responses["422"] = _problem(422)
    if secured:
        responses["401"] = _problem(401)
    else:
        responses["403"] = _problem(403)
    responses["500"] = _problem(500)
