"""The header of a model file, taken from a stranger: looked at before anything of the size that it names is allocated.

A safetensors file is the header's length (8 bytes, little endian), the header (JSON), and the tensors.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

LENGTH_BYTES = 8
MAX_HEADER = 32_000_000
"""Bytes. The names of 100,000 held-out images take 26 MB at most; safetensors itself allows 100 MB."""
MAX_TENSORS = 4_000_000_000
"""Bytes of all tensors. The largest backbone with the largest memory bank stays below."""
_MAX_DEPTH = 12
"""Brackets within brackets. A model file has seven."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def parse(header: bytes) -> dict[str, Any]:
    """The header's JSON: how each tensor lies, and the texts under `__metadata__`.

    Raises:
        ValueError: It is no JSON object, or too deep.
    """
    require_shallow(header)
    found = json.loads(header)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  of the file, not of the caller
    return found


def require_shallow(text: bytes) -> None:
    """See that JSON does not nest deeper than a model file's.

    Raises:
        ValueError: It does, or its brackets do not match.
    """
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(_MAX_DEPTH):  # each time the innermost pairs go
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError("the JSON is too deep")


def require_layout(tensors: Mapping[str, Any], room: int) -> None:
    """See that the tensors fill the rest of the file exactly, each with the bytes that its shape and type need.

    Args:
        tensors: The header without `__metadata__`.
        room: Bytes behind the header.

    Raises:
        ValueError: They do not.
        LookupError, TypeError: An entry is of another kind.
    """
    if room > MAX_TENSORS:
        raise ValueError(f"more than {MAX_TENSORS // 10**9} GB")
    place = 0
    for start, end, needed in sorted(_extent(entry) for entry in tensors.values()):
        if start != place or end - start != needed:
            raise ValueError("a tensor has another size than its place")
        place = end
    if place != room:
        raise ValueError("the tensors end elsewhere than the file")


def _extent(entry: Mapping[str, Any]) -> tuple[int, int, int]:
    """Where a tensor begins and ends, and how many bytes it needs."""
    start, end = entry["data_offsets"]
    numbers = [start, end, *entry["shape"]]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("not a size")
    return start, end, math.prod(entry["shape"]) * _BYTES_OF[entry["dtype"]]
