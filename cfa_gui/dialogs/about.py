"""What this program is, with the versions and the devices that a bug report needs."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPushButton, QVBoxLayout, QWidget


class AboutDialog(QDialog):
    """Name, purpose, and a text that can be copied.

    Args:
        version: Of the program.
        lines: Libraries, devices and files, one per line.
        parent: The window.
    """

    def __init__(self, version: str, lines: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        name = QLabel(f"cfa-gui {version}")
        name.setProperty("role", "title")
        purpose = QLabel(
            "Visual inspection from good parts only.\n"
            "Method: CFA (Lee, Lee and Song, IEEE Access 2022, arXiv 2206.04325). Licence: Apache-2.0."
        )
        purpose.setWordWrap(True)
        self._details = "\n".join(lines)
        details = QLabel(self._details)
        details.setProperty("role", "muted")
        details.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        details.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy the versions and devices, for a bug report.")
        copy.clicked.connect(self._copy)
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 20, 20, 16)
        layout.setSpacing(12)
        for label in (name, purpose, details):
            layout.addWidget(label)
        layout.addWidget(buttons)
        self.setMinimumWidth(460)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._details)
