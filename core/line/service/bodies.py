"""The image in a request: read within limits, plain or as a form."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from core.line.service.limits import Limits
from core.line.service.problems import ClientGone, Problem, busy

_CLOSE = {"Connection": "close"}
_MOST_FIELDS, _FIELD_BYTES = 8, 65_536


class Held:
    """The bytes of all requests that are in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.bytes = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """One request's part of them, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes

    def take(self, count: int) -> None:
        """Count more bytes in.

        Raises:
            Problem: They would be too many.
        """
        if self.bytes + count > self._limit:
            raise busy("Too many large images are on their way at once. Try again in a second.")
        self.bytes += count


class Share:
    """What one request holds."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = 0

    def take(self, count: int) -> None:
        """As `Held.take`."""
        self._held.take(count)
        self.bytes += count


async def read_image_bytes(request: Request, limits: Limits, share: Share) -> bytes:
    """The bytes of the image in a request's body.

    Raises:
        Problem: It is too long, comes too slowly, is no whole form, or there is no room for it.
        ClientGone: The client has closed the connection.
    """
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await _read(request, limits.body_bytes, share)
    except TimeoutError as error:
        sentence = f"The request did not arrive within {limits.body_seconds:g} seconds. Send it again."
        raise Problem(408, sentence, _CLOSE) from error
    except ClientDisconnect as error:
        raise ClientGone from error
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _file_in_form(request.headers, body)
    return body


async def _read(request: Request, limit: int, share: Share) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_long(limit)
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            raise _too_long(limit)
        share.take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _too_long(limit: int) -> Problem:
    return Problem(
        413, f"The request is longer than {limit:,} bytes. Send a smaller file, or start with a larger limit."
    )


async def _file_in_form(headers: Headers, body: bytes) -> bytes:
    """The one file in a multipart form; it never touches the disk."""
    parser = MultiPartParser(headers, _once(body), max_files=1, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES)
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"The form cannot be read: {error.message}") from error
    except (KeyError, ValueError, LookupError) as error:
        raise Problem(400, "The form cannot be read: its content type names no usable boundary or charset.") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise Problem(422, "The form holds no file. Send the image as a file, in a field named `image`.")
        return await files[0].read()
    finally:
        await form.close()


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
