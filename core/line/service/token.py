"""Who may ask: the token, and which addresses may be listened at without one."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from pathlib import Path

from core.errors import ConfigError

VARIABLE = "CFA_TOKEN"
_SHORTEST = 16
_MOST_BYTES = 4096
_REMEDY = "Make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`."


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token from a file, or else from the environment; None where neither is given.

    Raises:
        ConfigError: The file cannot be read, or the token is too short or holds blanks or other than ASCII.
    """
    if file is None:
        return _checked(environment[VARIABLE], VARIABLE) if environment.get(VARIABLE) else None
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"The token file {file} cannot be read: {error.strerror or error}.") from error
    return _checked(content.decode("ascii", "replace").strip(), str(file))


def _checked(token: str, where: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token or len(token) < _SHORTEST:
        raise ConfigError(
            f"The token in {where} must be {_SHORTEST} or more characters of plain ASCII without blanks. {_REMEDY}"
        )
    return token


def is_right(token: str, header: str | None) -> bool:
    """Whether an Authorization header has the token, in a time that does not tell how much of it is right."""
    scheme, _, given = (header or "").partition(" ")
    digests = (hashlib.sha256(text.strip().encode("utf-8", "replace")).digest() for text in (token, given))
    return hmac.compare_digest(*digests) and scheme.lower() == "bearer"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_token(host: str, token: str | None) -> None:
    """Refuse to listen to other machines without a token.

    Raises:
        ConfigError: There is none, and the address is not this machine's alone.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"{host} is reached from other machines, so a token is needed: --token-file FILE, or {VARIABLE} in the "
            f"environment. {_REMEDY}"
        )
