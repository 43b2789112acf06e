"""The few questions that the program asks, and its file dialogs."""

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from cfa_gui.dialogs.export import ExportQuestions
from core.counting import counted

_IMAGES = "Images (*.png *.jpg *.jpeg *.bmp *.tif *.tiff *.webp *.gif);;All files (*)"
_MODELS = "CFA model (*.cfa)"
_VIDEOS = "Videos (*.mp4 *.avi *.mkv *.mov *.m4v *.mpg *.mpeg *.webm *.wmv);;All files (*)"


_LABELS = "{} are in this window only. “Deploy”, “Export scores” writes them to a file."


class Questions(ExportQuestions):
    """Asks the user; modal, over one window."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window

    def unsaved(self, name: str, labels: int = 0) -> str:
        """What to do with a model that is not saved: "save", "discard" or "cancel".

        Args:
            name: Of the model.
            labels: How many labels are lost too.
        """
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Unsaved model")
        box.setText(f"“{name}” has changes that are not saved.")
        lost = f"\n\n{_LABELS.format(counted(labels, 'label'))}" if labels else ""
        box.setInformativeText(f"Without saving, the training or the threshold is lost.{lost}")
        save = box.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
        discard = box.addButton("Don’t save", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)
        box.exec()
        pressed = box.clickedButton()
        return "save" if pressed is save else "discard" if pressed is discard else "cancel"

    def lose_labels(self, count: int) -> bool:
        """Whether to close although labels are in no file."""
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Labels")
        box.setText(f"Close without {counted(count, 'label')} that you gave?")
        box.setInformativeText(_LABELS.format(counted(count, "label")))
        close = box.addButton("Close without them", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is close

    def stop_work(self, doing: str) -> bool:
        """Whether to close although something is being done."""
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Still working")
        box.setText(f"The program is still {doing}.")
        box.setInformativeText("Stop it and close? What is not finished is lost.")
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Go on", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is stop

    def inspect_or_train(self, count: int) -> str:
        """What images are for: "inspect", "train" or ""."""
        what = "this" if count == 1 else f"these {count}"
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Images dropped")
        box.setText(f"What shall be done with {what}?")
        box.setInformativeText(
            "Inspect: the model looks for defects in the images.\nGood parts: a new training learns from them."
        )
        inspect = box.addButton("Inspect", QMessageBox.ButtonRole.AcceptRole)
        train = box.addButton("Good parts", QMessageBox.ButtonRole.ActionRole)
        box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(inspect)
        box.exec()
        pressed = box.clickedButton()
        return "inspect" if pressed is inspect else "train" if pressed is train else ""

    def model_to_save(self, suggestion: Path) -> Path | None:
        """Where to save a model; None: nowhere."""
        name, _ = QFileDialog.getSaveFileName(self._window, "Save the model", str(suggestion), _MODELS)
        return Path(name) if name else None

    def model_to_open(self, folder: Path) -> Path | None:
        """Which model to open; None: none."""
        name, _ = QFileDialog.getOpenFileName(self._window, "Open a model", str(folder), _MODELS)
        return Path(name) if name else None

    def folder(self, title: str, folder: Path) -> Path | None:
        """Which folder to open; None: none."""
        name = QFileDialog.getExistingDirectory(self._window, title, str(folder))
        return Path(name) if name else None

    def video_to_open(self, folder: Path) -> Path | None:
        """Which video to look at; None: none."""
        name, _ = QFileDialog.getOpenFileName(self._window, "Choose a video", str(folder), _VIDEOS)
        return Path(name) if name else None

    def images(self, title: str, folder: Path) -> list[Path]:
        """Which images to open."""
        names, _ = QFileDialog.getOpenFileNames(self._window, title, str(folder), _IMAGES)
        return [Path(name) for name in names]
