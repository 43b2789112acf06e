"""OpenCV, tamed. Everything in `core` takes it from here: `from core.opencv import cv2`.

On Linux the import of opencv-python points Qt at OpenCV's own plug-ins and fonts through two environment variables,
and a QApplication made after it aborts the process. They are put back to what they were. OpenCV's log is switched off:
what it would print about a damaged file is said in an ImageError. So is FFmpeg's, and a camera on Linux that has gone
silent is given up after two seconds and not after ten.
"""

import os
from pathlib import Path

_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
_OWN = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2"}
"""Read by OpenCV when it is imported, or when it opens its first video; what the user has set stays."""
_before = {name: os.environ.get(name) for name in _QT_VARIABLES}
for _name, _value in _OWN.items():
    os.environ.setdefault(_name, _value)

import cv2  # noqa: E402  the environment is looked at before and after


def _restore_qt_environment() -> None:
    own_folder = str(Path(cv2.__file__).parent)
    for name, value in _before.items():
        if value is not None and not value.startswith(own_folder):
            os.environ[name] = value
        elif os.environ.get(name, "").startswith(own_folder):
            del os.environ[name]


def _silence() -> None:
    set_level = getattr(cv2, "setLogLevel", None)  # OpenCV 4; OpenCV 5 moved it
    (set_level or cv2.utils.logging.setLogLevel)(0)


_restore_qt_environment()
_silence()

__all__ = ["cv2"]
