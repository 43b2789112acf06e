"""The program as a process of its own: closing the window ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSED_AFTER = """
import sys
from PySide6.QtCore import QTimer
from cfa_gui import app, main_window


class Window(main_window.MainWindow):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        if sys.argv[1] == "loaded":
            self.engine_ready.connect(lambda: QTimer.singleShot(200, self.close))
        else:
            QTimer.singleShot(int(sys.argv[1]), self.close)


app.MainWindow = Window
sys.exit(app.run([]))
"""


@pytest.mark.parametrize("moment", ["0", "600", "loaded"])
def test_that_the_program_ends_when_its_window_is_closed(moment: str, tmp_path: Path) -> None:
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "APPDATA")}
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_AFTER, moment],
        check=False,
        env=os.environ | home,
        timeout=90,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
