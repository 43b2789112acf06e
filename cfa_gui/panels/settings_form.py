"""Settings of a training as a form."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from cfa_gui import theme
from cfa_gui.panels.setting_fields import Choice, Field, Number
from core.config import Config

Editor = QComboBox | QSpinBox | QDoubleSpinBox


class SettingsForm(QWidget):
    """Fields with their labels; emits one change at a time."""

    changed = Signal(str, object)
    """Name of the setting and its new value."""

    def __init__(self, fields: Sequence[Field], parent: QWidget | None = None) -> None:
        """One field to a row, its label before it."""
        super().__init__(parent)
        self._fields = fields
        self._quiet = False
        self._extra: dict[str, object] = {}
        self._editors = {field.name: self._editor(field) for field in fields}
        self._lay_out([self._label(field) for field in fields], list(self._editors.values()))

    def _lay_out(self, labels: Sequence[QLabel], editors: Sequence[Editor]) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for label, editor in zip(labels, editors, strict=True):
            form.addRow(label, editor)

    def _label(self, field: Field) -> QLabel:
        """Of the field's editor, which is told what it is."""
        label, editor = QLabel(field.label), self._editors[field.name]
        label.setToolTip(field.tip)
        label.setBuddy(editor)
        editor.setToolTip(field.tip)
        editor.setAccessibleName(field.label)
        editor.setAccessibleDescription(field.tip)
        return label

    def _editor(self, field: Field) -> Editor:
        if isinstance(field, Choice):
            return self._choice(field)
        box: QSpinBox | QDoubleSpinBox
        if field.decimals:
            box = QDoubleSpinBox()
            box.setDecimals(field.decimals)
            box.setRange(field.low, field.high)
            box.setSingleStep(field.step)
        else:
            box = QSpinBox()
            box.setRange(int(field.low), int(field.high))
            box.setSingleStep(int(field.step))
        box.setSuffix(field.suffix)
        box.setPrefix(field.prefix)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.setKeyboardTracking(False)
        theme.indent(box)
        box.valueChanged.connect(partial(self._on_number, field))
        return box

    def _choice(self, field: Choice) -> QComboBox:
        box = QComboBox()
        for value, text in field.options:
            box.addItem(text, value)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(10)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.currentIndexChanged.connect(partial(self._on_choice, field))
        return box

    def show_config(self, config: Config) -> None:
        """Show settings; emits nothing."""
        self._quiet = True
        for field in self._fields:
            editor = self._editors[field.name]
            value = field.read(config)
            if isinstance(field, Choice):
                assert isinstance(editor, QComboBox)  # noqa: S101  built so above
                place = editor.findData(value)
                if place < 0:
                    editor.addItem(str(value), value)
                    self._extra[field.name] = value
                    place = editor.count() - 1
                editor.setCurrentIndex(place)
            elif isinstance(editor, QDoubleSpinBox):
                editor.setValue(float(value) * field.factor)
            elif isinstance(editor, QSpinBox):
                editor.setValue(round(value * field.factor))
        self._quiet = False

    def _on_number(self, field: Number, value: float) -> None:
        if not self._quiet:
            scaled = value / field.factor if field.factor != 1 else value
            self.changed.emit(field.name, scaled)

    def _on_choice(self, field: Choice, place: int) -> None:
        if not self._quiet:
            self.changed.emit(field.name, self._typed(field, place))

    def _typed(self, field: Choice, place: int) -> object:
        """A combo box turns a StrEnum into plain text; this turns it back."""
        value = field.options[place][0] if place < len(field.options) else self._extra[field.name]
        sample = field.options[0][0]
        return type(sample)(str(value)) if isinstance(sample, StrEnum) else value


_NARROWEST = 90
"""Pixels of an editor in a row: Qt would ask for more than its text needs, and the window could not be as narrow."""


class SettingsPairs(SettingsForm):
    """Few fields, two to a row, their labels before them."""

    def _lay_out(self, labels: Sequence[QLabel], editors: Sequence[Editor]) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(8)
        for place, (label, editor) in enumerate(zip(labels, editors, strict=True)):
            row, column = divmod(place, 2)
            label.setProperty("role", "caption")
            grid.addWidget(label, row, 2 * column)
            editor.setMinimumWidth(_NARROWEST)
            grid.addWidget(editor, row, 2 * column + 1)
            grid.setColumnStretch(2 * column + 1, 1)
