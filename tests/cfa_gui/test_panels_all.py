"""Panels: what they show of the session, and which intentions they emit. All on a real workbench with a fake engine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QWidget,
)

from cfa_gui.models.pace import Estimate
from cfa_gui.models.review import Group, Show
from cfa_gui.panels.image_delegate import caption_of
from cfa_gui.panels.learned import learned_sentences
from cfa_gui.panels.setting_fields import EXPERT, ON_THE_LINE, Field
from cfa_gui.panels.words import progress_text
from cfa_gui.widgets.wheel import let_wheel_scroll
from cfa_gui.workbench import Workbench
from core.config import Bank, Calibrating, Region
from core.presets import preset
from core.progress import Phase, Progress, StepRecord
from tests.cfa_gui.bench import Bench, texts_of, turn_wheel
from tests.cfa_gui.fake_engine import fake_model, write_picture


def test_that_every_control_has_a_name_to_be_read_aloud(work: Workbench) -> None:
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit)
    nameless = [
        f"{type(control).__name__} {control.objectName()} in {type(control.parentWidget()).__name__}"
        for kind in kinds
        for control in work.findChildren(kind)
        if not (control.accessibleName() or getattr(control, "text", str)() or control.objectName().startswith("qt_"))
        and not isinstance(control.parentWidget(), QAbstractSpinBox | QComboBox)
    ]
    assert nameless == []


# samples


def test_that_the_samples_panel_counts_and_warns_in_sentences(bench: Bench, work: Workbench, tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "few" / f"{number}.png", 10 + 60 * number)
    write_picture(tmp_path / "few" / "wide.png", 40, (24, 64))
    (tmp_path / "few" / "broken.png").write_bytes(b"nothing")
    bench.parts.opening.open([tmp_path / "few"])
    bench.until_idle()
    bench.until(lambda: bench.session.samples is not None and not bench.session.samples.checking)
    said = texts_of(work.samples)
    assert "6 images" in said
    assert "32 × 24 (4)" in said
    assert "broken.png" in said
    assert bench.session.samples is not None
    assert len(bench.session.samples.findings) >= 2


def test_that_a_warning_can_leave_its_images_out(bench: Bench, work: Workbench, tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "few" / f"{number}.png", 10 + 60 * number)
    (tmp_path / "few" / "broken.png").write_bytes(b"nothing")
    bench.parts.opening.open([tmp_path / "few"])
    bench.until_idle()
    bench.until(lambda: bench.session.samples is not None and not bench.session.samples.checking)
    leave = [b for b in work.samples.findChildren(QPushButton) if b.text().startswith("Leave 1 image")]
    leave[0].click()
    assert bench.session.samples is not None
    assert [sample.path.name for sample in bench.session.samples.good] == ["0.png", "1.png", "2.png", "3.png"]


def test_that_regions_are_listed_and_removed_one_by_one(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.session.set_regions((Region(((0, 0), (1, 0), (1, 1))), Region(((0, 0), (0.5, 0), (0, 0.5)), ignored=True)))
    assert "Region 1, 3 corners" in texts_of(work.samples)
    assert "Ignored area 2, 3 corners" in texts_of(work.samples)
    remove = [b for b in work.samples.findChildren(QAbstractButton) if b.accessibleName().startswith("Remove Region 1")]
    remove[0].click()
    assert [region.ignored for region in bench.session.config.preprocessing.regions] == [True]


def test_that_a_region_drawn_on_the_canvas_reaches_the_settings(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.until(lambda: work.canvas._path is not None)
    work.draw(ignored=True)
    work.canvas.canvas.region_drawn.emit([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)], True)  # noqa: FBT003  a signal
    assert bench.session.config.preprocessing.regions[0].ignored


# training


def test_that_a_preset_fills_the_form_and_a_change_makes_it_custom(bench: Bench, work: Workbench) -> None:
    work.training._buttons["thorough"].click()
    assert bench.session.config == preset("thorough")
    form = work.training._expert
    form.changed.emit("bank", Bank.MEAN)
    assert bench.session.config.preset == "custom"
    assert bench.session.config.method.bank is Bank.MEAN
    assert form._editors["bank"].currentText().endswith("(mean)")  # type: ignore[union-attr]
    assert not any(button.isChecked() for button in work.training._buttons.values())


@pytest.mark.parametrize(("form", "fields"), [("_expert", EXPERT), ("_line", ON_THE_LINE)])
def test_that_every_field_of_a_form_writes_what_it_reads(
    form: str, fields: Sequence[Field], bench: Bench, work: Workbench
) -> None:
    for field in fields:
        editor = getattr(work.training, form)._editors[field.name]
        if isinstance(editor, QComboBox):
            editor.setCurrentIndex((editor.currentIndex() + 1) % editor.count())
        else:
            editor.stepUp()
        shown = field.read(bench.session.config)
        assert shown != field.read(preset("standard")), field.name
    assert not bench.texts("error")


def test_that_what_may_vary_on_the_line_outlives_another_preset_and_says_what_it_costs(
    bench: Bench, work: Workbench
) -> None:
    remark = work.training._line_remark
    assert "as in the pictures" in remark.text()
    bench.parts.change_setting("position_variation", 0.05)
    assert "5 ways" in remark.text()
    assert work.training._buttons["standard"].isChecked()
    work.training._buttons["fast"].click()
    assert bench.session.config == preset("fast").with_changes(position_variation=0.05)
    assert bench.session.config.preset == "fast"


def test_that_the_wheel_over_the_expert_settings_scrolls_and_changes_none_of_them(
    bench: Bench, work: Workbench
) -> None:
    work.bring("training")
    work.training._expert_toggle.click()
    form = work.training._expert
    (area,) = work.training.findChildren(QScrollArea)
    bar = area.verticalScrollBar()
    bench.until(lambda: bar.maximum() > 0)
    for name, editor in form._editors.items():
        area.ensureWidgetVisible(editor)
        before = bar.value()
        notch = QPoint(0, -120 if before < bar.maximum() else 120)
        QTest.wheelEvent(work.windowHandle(), QPointF(editor.mapTo(work, editor.rect().center())), notch)
        assert bar.value() != before, name
    assert bench.session.config == preset("standard")


def test_that_the_wheel_turns_a_number_but_no_choice_that_has_the_focus(bench: Bench, work: Workbench) -> None:
    for name, editor in work.training._expert._editors.items():
        assert editor.focusPolicy() is Qt.FocusPolicy.StrongFocus, name  # the wheel gives it none
    choice, number = QComboBox(work), QSpinBox(work)
    choice.addItems(["a", "b"])
    number.setValue(10)
    let_wheel_scroll(work)
    for part in (choice, number):
        part.show()
        work.activateWindow()
        part.setFocus()
        bench.until(part.hasFocus)
        turn_wheel(part)
    assert choice.currentIndex() == 0
    assert number.value() == 9


def test_that_a_setting_out_of_reach_is_told_and_the_form_shows_what_is_in_force(bench: Bench, work: Workbench) -> None:
    bench.parts.change_setting("resizing", "R+C")
    bench.parts.change_setting("image_size", 2)
    assert bench.texts("error")
    assert work.training._expert._editors["image_size"].value() == 256  # type: ignore[union-attr]


def test_that_the_second_member_of_an_ensemble_begins_the_plot_anew(bench: Bench, work: Workbench) -> None:
    panel = work.training
    panel.begin()
    for epoch in (0.25, 0.5, 0.75, 1.0):
        panel.add_step(StepRecord(epoch, 5.0, 4.0, 1.0, 0.4, 0.5, 0.1))
    assert panel._plot.count() == 4
    for epoch in (0.5, 1.0):
        panel.add_step(StepRecord(epoch, 3.0, 2.0, 1.0, 0.4, 0.5, 0.1))
    assert panel._plot.count() == 2


def test_that_the_training_panel_says_what_is_held_out_and_what_was_learned(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    assert "All 12 good images are learned from. To tell how high a good part may score, 2 at a time are held out" in (
        texts_of(work.training)
    )
    config = bench.session.config
    bench.session.set_config(config.with_changes(calibration=Calibrating.SPLIT))
    assert "2 of the 12 good images are held out: they are not learned from" in texts_of(work.training)
    bench.session.set_config(config.with_changes(holdout=0.0))
    assert "No image is held out with these settings" in texts_of(work.training)
    bench.session.set_config(config)
    bench.train()
    said = texts_of(work.training)
    assert "Each was scored by a model that had not learned from it." in said
    assert "(cross-conformal prediction)" in said
    assert "What it learned" in said
    assert "smallest false-alarm rate that can be promised with them is 3.23 %" in said
    assert "784" in said


def test_that_the_training_panel_leads_to_training_and_then_to_saving(
    bench: Bench, work: Workbench, tmp_path: Path
) -> None:
    def shown() -> dict[str, bool]:
        """The text of each button at the foot that is there, and whether it is the one in the accent colour."""
        panel = work.training
        buttons = (panel._save, panel._train, panel._cancel)
        return {one.text().strip(): one.property("role") == "primary" for one in buttons if not one.isHidden()}

    assert shown() == {"Train": True}
    bench.open_parts()
    assert shown() == {"Train on 12 images": True}
    bench.train()
    assert shown() == {"Save the model…": True, "Train again on 12 images": False}
    bench.answers.path = tmp_path / "parts.cfa"
    work.training._save.click()
    bench.until_idle()
    assert shown() == {"Train again on 12 images": False}


def test_that_images_of_one_part_are_told_wherever_a_promise_is(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    assert "How high a good part may score, from 30 held-out good images:" in texts_of(work.training)
    model = bench.session.model
    assert model is not None
    parts = tuple(number // 5 for number in range(30))
    several = replace(model, calibration=replace(model.calibration, parts=parts))
    bench.session.set_model(several, None)
    said = " ".join(learned_sentences(several))
    assert "How high a good part may score, from 30 held-out good images of 6 parts:" in said
    assert "smallest false-alarm rate that can be promised with them is 14.3 %" in said
    assert work.threshold._rate.toolTip() == (
        "From 30 held-out good images of 6 parts: the smallest rate that can be promised is 14.3 %."
    )


def test_that_a_model_says_what_it_was_told_of_the_line() -> None:
    plain = fake_model()
    assert not any("varies" in sentence for sentence in learned_sentences(plain))
    told = replace(plain, config=plain.config.with_changes(position_variation=0.05, angle_variation=3.0))
    said = "It was told what varies on the line: place may vary by ± 5 % of the width; angle may vary by ± 3°."
    assert said in learned_sentences(told)


def test_that_progress_reads_as_a_line() -> None:
    text = progress_text(Progress(Phase.FEATURES, 20, 60), Estimate(12.34, 41.0))
    assert text == "Computing features · 20 of 60 images · 12.3 images/s · 0:41 left"
    assert progress_text(Progress(Phase.TRAINING, 1.5, 30, "epochs"), Estimate()) == "Learning · 1.5 of 30 epochs"
    assert progress_text(Progress(Phase.TRAINING, 0.5, 1, "epochs"), Estimate()) == "Learning · 0.5 of 1 epoch"
    text = progress_text(Progress(Phase.MEASURING, 7, 500, "pictures"), Estimate(12.34))
    assert text == "Measuring how good parts vary · 7 of 500 pictures · 12.3 pictures/s"
    shapes = Progress(Phase.SHAPES, 1080, 2160, "centres")
    assert progress_text(shapes, Estimate()) == "Shaping the memory of good · 1,080 of 2,160 centres"
    assert progress_text(Progress(Phase.INSPECTING, 1, 1_234_567), Estimate()).endswith("1 of 1,234,567 images")
    second = Progress(Phase.FEATURES, 20, 60, part=2, parts=2)
    turn = Progress(Phase.TRAINING, 0.5, 1, "epochs", turn=2, turns=3)
    assert progress_text(turn, Estimate()) == "Held out, 2 of 3: Learning · 0.5 of 1 epoch"
    assert progress_text(second, Estimate()) == "Computing features (scale 2 of 2) · 20 of 60 images"


# images


def test_that_the_list_selects_what_the_session_says_and_back(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    view = work.images.view
    bench.parts.review.next()
    assert view.currentIndex().row() == 1
    view.selectionModel().select(
        bench.parts.images.index(3), QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    )
    order = bench.parts.images.order
    assert set(bench.session.selection) == {int(order[1]), int(order[3])}


def test_that_the_image_in_sight_is_also_the_selected_one(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    view = work.images.view
    view.selectionModel().clear()
    assert len(bench.session.selection) == 0
    view.setCurrentIndex(QModelIndex())
    view.selectionModel().setCurrentIndex(  # as Qt does when the list gets the keyboard
        bench.parts.images.index(2), QItemSelectionModel.SelectionFlag.NoUpdate
    )
    assert list(bench.session.selection) == [bench.session.current] == [int(bench.parts.images.order[2])]


def test_that_a_new_order_keeps_the_selection_on_its_images(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    chosen = bench.session.current
    work.images._sort.setCurrentIndex(1)
    assert bench.session.current == chosen
    assert bench.parts.images.place_of(work.images.view.currentIndex().row()) == chosen


def test_that_a_filter_never_leaves_a_selection_that_cannot_be_seen(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    bench.parts.threshold.move(10.0)
    assert bench.session.review.scores[bench.session.current] > 10
    work.images.choose_filter(Show.PASSED)
    shown = {int(place) for place in bench.parts.images.order}
    assert set(bench.session.selection) <= shown
    bench.parts.review.good()
    assert set(np.flatnonzero(bench.session.review.groups == Group.DEFECT)) == {4, 5, 6, 7}


def test_that_a_cell_of_the_matrix_filters_the_list(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    bench.parts.threshold.move(16.0)
    work.threshold._matrix.cell_clicked.emit("missed")
    assert bench.parts.images.query.show is Show.MISSED
    assert bench.parts.images.rowCount() == 1
    work.threshold._matrix.cell_clicked.emit("")
    assert bench.parts.images.rowCount() == 8


def test_that_the_grid_and_the_list_show_the_same_images(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    for name in ("grid", "list"):
        work.images.set_view(name)
        work.images.view.grab()
    bench.until(lambda: len(bench.parts.thumbnails) >= 5)


@pytest.mark.parametrize(
    ("mark", "group", "words"),
    [
        (3, 1, "false alarm"),
        (1, 2, "missed defect"),
        (2, 2, "missed defect"),
        (3, 2, "labelled defect"),
        (1, 1, "labelled good"),
        (0, 0, "waiting"),
        (3, 0, "not labelled"),
        (4, 0, "could not be inspected"),
        (None, None, ""),
    ],
)
def test_that_a_row_says_in_words_where_verdict_and_label_disagree(
    mark: int | None, group: int | None, words: str
) -> None:
    assert caption_of(mark, group)[0] == words


def test_that_the_keyboard_reaches_every_panel(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    for panel in (work.images, work.canvas, work.review, work.threshold):
        reachable = [
            child
            for child in panel.findChildren(QWidget)
            if child.focusPolicy() & Qt.FocusPolicy.TabFocus and child.isVisible()
        ]
        assert reachable, type(panel).__name__
