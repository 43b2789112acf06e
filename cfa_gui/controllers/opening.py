"""What a drop or a command line means: a model, good parts, or images to inspect."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject

from cfa_gui.controllers.deploy import SUFFIX, DeployController
from cfa_gui.controllers.inspect import InspectController
from cfa_gui.controllers.samples import SamplesController
from cfa_gui.models.notices import Notices
from cfa_gui.models.session import Session
from core.images import IMAGE_SUFFIXES


class AskPurpose(Protocol):
    """What images are for, where a model is there already."""

    def inspect_or_train(self, count: int) -> str:
        """One of "inspect", "train" and ""."""
        ...


class OpeningController(QObject):
    """Sends paths to the controller that they are for."""

    def __init__(
        self,
        session: Session,
        samples: SamplesController,
        inspect: InspectController,
        deploy: DeployController,
        notices: Notices,
        ask: AskPurpose,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._samples = samples
        self._inspect = inspect
        self._deploy = deploy
        self._notices = notices
        self._ask = ask

    def open(self, paths: Sequence[Path]) -> None:
        """Open what was dropped or named."""
        if not paths:
            return
        if not self._session.allowed().open:
            self._notices.post("Wait until the present work is done, or cancel it, and drop again.", "warning")
            return
        models = [path for path in paths if path.suffix.lower() == SUFFIX and not path.is_dir()]
        others = [path for path in paths if path not in models]
        gone = [path for path in others if not path.exists()]
        if gone:
            self._notices.post(f"{gone[0]} is not there any more. Choose another folder or file.", "error")
            return
        usable = [path for path in others if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES]
        if others and not usable:
            self._notices.post(
                f"{others[0].name} is neither an image nor a folder nor a {SUFFIX} model. "
                "Drop a folder of good parts, images, or a model.",
                "error",
            )
        if len(models) > 1:
            self._notices.post(f"One model at a time: {models[0].name} is opened.", "warning")
        if models:
            self._deploy.open_model(models[0], partial(self._inspect.open, usable, waiting=True) if usable else None)
        elif usable:
            self._open_images(usable)

    def _open_images(self, paths: Sequence[Path]) -> None:
        purpose = "train" if self._session.model is None else self._ask.inspect_or_train(len(paths))
        if purpose == "train":
            self._samples.open(paths)
        elif purpose == "inspect":
            self._inspect.open(paths)
