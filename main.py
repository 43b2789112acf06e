"""Start the window."""

import sys

from cfa_gui.app import run

if __name__ == "__main__":
    sys.exit(run())
