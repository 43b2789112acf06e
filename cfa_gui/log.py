"""The log file of this machine: warnings, errors and versions, never what is in an image.

It names files, for without names nobody finds what went wrong; what leaves the machine has them reduced, see
`cfa_gui.diagnostics`.
"""

import logging
import logging.handlers
import platform
import sys
from pathlib import Path

import platformdirs
import PySide6

from core.version import VERSION

NAME = "cfa-gui"
_BYTES = 1_000_000
_FILES = 2
"""Older files that are kept."""
_log = logging.getLogger(__name__)


def log_path() -> Path:
    """The log file on this machine."""
    return Path(platformdirs.user_log_dir(NAME, appauthor=False)) / f"{NAME}.log"


def start_log(path: Path) -> Path | None:
    """Write to a file that keeps its size, versions first; None where that is not possible."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        _log.warning("no log file: %s", error)
        return None
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    _log.info("%s", "; ".join(versions()))
    return path


def versions() -> list[str]:
    """Program, language, Qt and system, one a line."""
    python = sys.version.split()[0]
    return [f"{NAME} {VERSION}", f"Python {python}", f"PySide6 {PySide6.__version__}", platform.platform()]


class OneLine(logging.Formatter):
    """A message stays on its line: a file's name cannot feign an entry of the log. A traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The message with control characters as escapes."""
        text = record.message
        record.message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return super().formatMessage(record)
