"""Where exports go, and of which images."""

from pathlib import Path

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QDialog, QFileDialog, QMessageBox, QWidget

_CSV = "Table for spreadsheets (*.csv)"
_HTML = "Web page, one file (*.html)"
_PDF = "PDF (*.pdf)"


class ExportQuestions:
    """Asks the user; modal, over one window."""

    def __init__(self, window: QWidget) -> None:
        self._over = window

    def scores_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the table of scores; None: nowhere."""
        return _SaveDialog(self._over, "Export scores", suggestion, {_CSV: ".csv"}).ask()

    def report_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the report; None: nowhere."""
        return _SaveDialog(self._over, "Export report", suggestion, {_HTML: ".html", _PDF: ".pdf"}).ask()

    def overlays_to_write(self, flagged: int, scored: int, folder: Path) -> tuple[Path, bool] | None:
        """Into which folder, and whether the flagged images alone; None: nowhere."""
        only_flagged = self._only_flagged(flagged, scored)
        if only_flagged is None:
            return None
        name = QFileDialog.getExistingDirectory(self._over, "Choose a folder for the overlays", str(folder))
        return (Path(name), only_flagged) if name else None

    def _only_flagged(self, flagged: int, scored: int) -> bool | None:
        box = QMessageBox(self._over)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Export overlays")
        box.setText("Of which images?")
        box.setInformativeText("Each gets a PNG: the picture, its heat map, and the outline at the threshold.")
        some = box.addButton(f"Flagged only ({flagged:,})", QMessageBox.ButtonRole.AcceptRole)
        every = box.addButton(f"All ({scored:,})", QMessageBox.ButtonRole.ActionRole)
        box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        some.setEnabled(flagged > 0)
        box.setDefaultButton(some if flagged else every)
        box.exec()
        pressed = box.clickedButton()
        return True if pressed is some else False if pressed is every else None


class _SaveDialog(QObject):
    """A file dialog whose suffix follows the kind of file that is chosen in it."""

    def __init__(self, window: QWidget, title: str, suggestion: Path, kinds: dict[str, str]) -> None:
        super().__init__(window)
        self._kinds = kinds
        self._dialog = dialog = QFileDialog(window, title, str(suggestion.parent))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters(list(kinds))
        dialog.setDefaultSuffix(suggestion.suffix)
        dialog.selectFile(suggestion.name)
        dialog.filterSelected.connect(self._on_kind)

    @Slot(str)
    def _on_kind(self, kind: str) -> None:
        suffix = self._kinds.get(kind, "")
        chosen = self._dialog.selectedFiles()
        self._dialog.setDefaultSuffix(suffix)
        if chosen and Path(chosen[0]).suffix in self._kinds.values():
            self._dialog.selectFile(Path(chosen[0]).with_suffix(suffix).name)

    def ask(self) -> Path | None:
        """Show it; None where it was closed."""
        accepted = self._dialog.exec() == QDialog.DialogCode.Accepted
        chosen = self._dialog.selectedFiles()
        self._dialog.deleteLater()
        self.deleteLater()
        return Path(chosen[0]) if accepted and chosen else None
