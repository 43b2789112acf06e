"""Errors as the service tells them: problem+json (RFC 9457), with the sentence that a user would read."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core.errors import CfaError, DatasetError, ImageError, OutOfMemoryError

MEDIA_TYPE = "application/problem+json"
RETRY = {"Retry-After": "1"}


class Problem(Exception):  # noqa: N818  the name of the standard
    """Ends a request with an error."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Say what went wrong.

        Args:
            status: Of HTTP.
            detail: What, where, what to do.
            headers: More of the answer.
        """
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


class ClientGone(Exception):  # noqa: N818  an outcome
    """The client has closed the connection; nobody waits for an answer."""


def busy(detail: str) -> Problem:
    """The service has too much to do just now."""
    return Problem(503, detail, RETRY)


def problem_json(status: int, detail: str) -> dict[str, Any]:
    """The body of an error."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that failed."""
    return JSONResponse(problem_json(status, detail), status, dict(headers or {}), MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Let every error of the service be told as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(CfaError, _of_engine)
    app.add_exception_handler(ClientGone, _gone)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)


def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101  what it was registered for
    return problem_response(error.status, error.detail, error.headers)


def _of_engine(_: Request, error: Exception) -> JSONResponse:
    match error:
        case OutOfMemoryError():
            return problem_response(503, str(error), RETRY)
        case ImageError() | DatasetError():
            return problem_response(422, str(error))
        case _:
            return problem_response(500, str(error))


def _gone(_: Request, __: Exception) -> JSONResponse:
    return problem_response(408, "The connection was closed before the request was whole.", {"Connection": "close"})


def _of_framework(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  what it was registered for
    details = {
        404: "There is nothing at this address. /openapi.json lists what there is.",
        405: f"{request.method} is not possible here. /openapi.json says what is.",
    }
    return problem_response(error.status_code, details.get(error.status_code, str(error.detail)), error.headers)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  what it was registered for
    told = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return problem_response(422, f"The request does not fit: {'; '.join(told)}.")


def _bug(_: Request, __: Exception) -> JSONResponse:
    return problem_response(500, "The service has a fault; its log says more. Report it, with the image if you may.")
