"""Opening, training and inspecting, with a fake engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cfa_gui.controllers.train import smaller
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection
from core.config import Config, Method, Training
from core.errors import DeviceError, OutOfMemoryError
from core.presets import preset
from core.threshold import FalseAlarmRate, Manual
from tests.cfa_gui.bench import Bench
from tests.cfa_gui.fake_engine import Gate, fake_model, manual, write_parts, write_picture

# opening


def test_that_an_mvtec_folder_is_recognised_whole(bench: Bench) -> None:
    root = bench.open_parts()
    samples = bench.session.samples
    assert samples is not None
    assert (len(samples.good), len(samples.test)) == (12, 8)
    assert samples.sizes == (((24, 32), 12),)
    assert bench.settings.preferences.recent_folders == (str(root),)
    assert bench.session.current_sample() is samples.good[0]


def test_that_a_folder_without_images_leaves_what_was_there(bench: Bench, tmp_path: Path) -> None:
    bench.open_parts()
    before = bench.session.samples
    (tmp_path / "empty").mkdir()
    bench.parts.opening.open([tmp_path / "empty"])
    bench.until_idle()
    assert bench.session.samples is before
    assert len(bench.texts("error")) == 1


def test_that_a_folder_that_disappeared_is_told_in_a_sentence(bench: Bench, tmp_path: Path) -> None:
    bench.parts.samples.open([tmp_path / "gone"])
    bench.until_idle()
    assert "gone" in bench.texts("error")[0]
    assert bench.session.samples is None


def test_that_a_file_of_another_kind_is_refused_with_what_to_drop(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    bench.parts.opening.open([tmp_path / "notes.txt"])
    assert "notes.txt" in bench.texts("error")[0]
    assert bench.session.state is RunState.IDLE


def test_that_several_folders_and_files_become_one_set(bench: Bench, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / name / "1.png", 10)
    single = write_picture(tmp_path / "c.png", 10)
    bench.parts.opening.open([tmp_path / "a", tmp_path / "b", single])
    bench.until_idle()
    assert bench.session.samples is not None
    assert len(bench.session.samples.good) == 3


def test_that_images_dropped_beside_a_model_are_inspected_or_learned_from_as_answered(
    bench: Bench, tmp_path: Path
) -> None:
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    picture = write_picture(tmp_path / "x.png", 90)
    bench.parts.opening.open([picture])
    bench.until_idle()
    bench.until(lambda: bool(bench.session.review.scored.all()) and len(bench.session.review) == 1)
    assert bench.session.review.scores[0] == pytest.approx(9.0)
    bench.answers.purpose = "train"
    bench.parts.opening.open([picture])
    bench.until_idle()
    assert bench.session.samples is not None
    bench.answers.purpose = ""
    bench.parts.opening.open([picture])
    assert bench.session.state is RunState.IDLE


def test_that_the_sample_parts_open_with_one_call(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfa_gui.controllers.samples.sample_parts_folder", lambda: tmp_path / "sample-parts")
    bench.parts.samples.open_sample_parts()
    bench.until_idle()
    assert bench.session.samples is not None
    assert len(bench.session.samples.good) == 12


def test_that_images_left_out_are_not_trained_on_and_can_be_put_back(bench: Bench) -> None:
    bench.open_parts()
    bench.parts.samples.remove([0, 2])
    samples = bench.session.samples
    assert samples is not None
    assert len(samples.good) == 10
    assert "2 images" in bench.said[-1].text
    assert bench.said[-1].action is not None
    bench.said[-1].action[1]()
    assert bench.session.samples is not None
    assert len(bench.session.samples.good) == 12


def test_that_a_drawn_region_goes_into_the_next_training(bench: Bench) -> None:
    bench.open_parts()
    bench.parts.samples.add_region([(0.1, 0.1), (1.2, 0.1), (0.5, 0.9)], ignored=False)
    bench.train()
    (region,) = bench.engine.trained[-1][1].preprocessing.regions
    assert region.points == ((0.1, 0.1), (1.0, 0.1), (0.5, 0.9))
    bench.parts.samples.add_region([(0.1, 0.1), (0.2, 0.2)], ignored=True)
    assert "corners" in bench.texts("error")[-1]


# training


def test_that_training_ends_with_a_threshold_and_inspected_test_images(bench: Bench) -> None:
    bench.open_parts()
    told: list[str] = []
    bench.parts.train.started.connect(lambda: told.append("started"))
    bench.parts.train.stepped.connect(lambda _step: told.append("stepped"))
    bench.parts.train.finished.connect(lambda: told.append("finished"))
    bench.train()
    assert told == ["started", "stepped", "stepped", "stepped", "finished"]
    session = bench.session
    assert session.threshold is not None
    assert isinstance(session.threshold.policy, FalseAlarmRate)
    assert len(session.review) == 8
    assert session.review.scored.all()
    assert session.shown is Collection.REVIEW
    assert session.current == int(np.argmax(session.review.scores))
    assert session.model_unsaved


def test_that_steps_arrive_in_order_and_none_is_lost(bench: Bench) -> None:
    bench.open_parts()
    epochs: list[float] = []
    bench.parts.train.stepped.connect(lambda step: epochs.append(step.epoch))
    bench.train()
    assert epochs == [0, 1 / 3, 2 / 3]


def test_that_cancelling_a_training_keeps_the_model_that_was_there(bench: Bench) -> None:
    bench.open_parts()
    bench.train()
    before = bench.session.model
    bench.engine.gate = Gate()
    bench.parts.start_training()
    bench.until(bench.engine.gate.reached.is_set)
    bench.parts.tasks.cancel()
    assert bench.session.state is RunState.CANCELLING
    bench.until_idle()
    assert bench.session.model is before
    assert "cancelled" in bench.said[-1].text
    assert not bench.texts("error")


def test_that_too_little_memory_offers_a_smaller_setting_that_trains(bench: Bench) -> None:
    bench.open_parts()
    bench.engine.error = OutOfMemoryError("The computer has too little free memory.")
    bench.train()
    offer = bench.said[-1].action
    assert offer is not None
    offer[1]()
    bench.until_idle()
    assert bench.engine.trained[-1][1].training.batch_size == 2


def test_that_an_absent_device_offers_no_smaller_setting(bench: Bench) -> None:
    bench.open_parts()
    bench.engine.error = DeviceError("There is no device.")
    bench.train()
    assert bench.said[-1].action is None


def test_that_a_smaller_setting_can_always_be_found_until_it_is_as_small_as_can_be() -> None:
    config = Config(method=Method(bank_ratio=4), training=Training(batch_size=4))
    seen = []
    while (less := smaller(config)) is not None:
        seen.append((less.training.batch_size, less.method.bank_ratio))
        config = less
    assert seen == [(2, 4), (1, 4), (1, 8), (1, 16), (1, 32), (1, 64)]


def test_that_an_ensemble_gives_up_its_second_scale_before_its_memory_of_good_shrinks() -> None:
    config = preset("thorough").with_changes(batch_size=1)
    less = smaller(config)
    assert less is not None
    assert (less.preprocessing.second_scale, less.method.bank_ratio) == (0, config.method.bank_ratio)


def test_that_a_bug_in_the_engine_is_told_with_details_and_the_session_survives(bench: Bench) -> None:
    bench.open_parts()
    bench.engine.error = RuntimeError("boom")
    bench.train()
    assert bench.said[-1].level == "error"
    assert bench.said[-1].details
    assert bench.session.samples is not None
    assert bench.session.state is RunState.IDLE


def test_that_a_second_training_inspects_the_same_images_again_and_keeps_labels(bench: Bench) -> None:
    bench.open_parts()
    bench.train()
    bench.session.select((0,), 0)
    bench.parts.review.defect()
    groups = bench.session.review.groups.copy()
    bench.train()
    assert len(bench.session.review) == 8
    assert bench.session.review.scored.all()
    np.testing.assert_array_equal(bench.session.review.groups, groups)


def test_that_without_held_out_images_the_threshold_comes_from_what_was_inspected(bench: Bench, tmp_path: Path) -> None:
    bench.engine.calibration = ()
    write_parts(tmp_path / "plain", test_good=0, defects=0)
    bench.parts.opening.open([tmp_path / "plain" / "train" / "good"])
    bench.until_idle()
    bench.train()
    assert bench.session.threshold is None
    bench.parts.inspect.open([write_picture(tmp_path / "x.png", 90)])
    bench.until(lambda: len(bench.session.review) == 1)
    bench.until_idle()
    assert bench.session.threshold is not None
    assert isinstance(bench.session.threshold.policy, Manual)
    assert "no false-alarm rate can be promised" in bench.texts("warning")[-1]


# inspecting


def test_that_a_model_and_images_dropped_together_are_opened_and_inspected(bench: Bench, tmp_path: Path) -> None:
    bench.open_parts()
    bench.train()
    bench.answers.path = tmp_path / "part.cfa"
    bench.parts.deploy.save()
    bench.until_idle()
    folder, picture = tmp_path / "line", write_picture(tmp_path / "one.png", 200)
    for number in range(3):
        write_picture(folder / f"{number}.png", 10)
    bench.parts.opening.open([picture, tmp_path / "part.cfa", folder])
    bench.until(lambda: bench.session.model_path is not None and len(bench.session.review) == 12)
    bench.until_idle()
    assert bench.session.review.scored.all()  # those of before, too
    bench.parts.opening.open([folder, tmp_path / "part.cfa"])
    bench.until_idle()
    assert bench.texts("warning") == bench.texts("error") == []
    assert [text for text in bench.texts("success") if text.startswith("12 images inspected")] == (
        2 * ["12 images inspected, 5 of 12 are flagged."]
    )
    bench.parts.opening.open([tmp_path / "part.cfa", tmp_path / "part.cfa"])
    bench.until_idle()
    assert bench.texts("warning") == ["One model at a time: part.cfa is opened."]
    bench.parts.opening.open([tmp_path / "part.cfa", tmp_path / "gone"])
    assert "is not there any more" in bench.texts("error")[-1]
    (tmp_path / "notes.txt").write_text("no picture")
    opened = bench.texts("success").count("part.cfa is open.")
    bench.parts.opening.open([tmp_path / "part.cfa", tmp_path / "notes.txt"])
    bench.until_idle()
    assert "notes.txt is neither an image" in bench.texts("error")[-1]
    assert bench.texts("success").count("part.cfa is open.") == opened + 1


@pytest.mark.parametrize(("count", "said"), [(1, "1 image inspected"), (2, "2 images inspected")])
def test_that_the_number_of_inspected_images_is_told(bench: Bench, tmp_path: Path, count: int, said: str) -> None:
    write_parts(tmp_path / "plain", test_good=0, defects=0)
    bench.parts.opening.open([tmp_path / "plain" / "train" / "good"])
    bench.until_idle()
    bench.train()
    bench.parts.inspect.open([write_picture(tmp_path / f"{number}.png", 90) for number in range(count)])
    bench.until(lambda: len(bench.session.review) == count)
    bench.until_idle()
    assert bench.texts("success")[-1].startswith(f"{said}, ")


def test_that_results_appear_while_the_inspection_still_runs(bench: Bench) -> None:
    root = bench.open_parts()
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    bench.engine.gate = gate = Gate()
    bench.parts.inspect.open([root / "test"])
    bench.until(lambda: bool(bench.session.review.scored.sum() == 1))
    assert bench.session.state is RunState.INSPECTING
    assert len(bench.session.review) == 8
    gate.open()
    bench.until_idle()
    assert bench.session.review.scored.all()


def test_that_a_cancelled_inspection_keeps_its_results_and_can_be_finished(bench: Bench) -> None:
    root = bench.open_parts()
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    bench.engine.gate = Gate()
    bench.parts.inspect.open([root / "test"])
    bench.until(lambda: bool(bench.session.review.scored.sum() == 1))
    bench.parts.tasks.cancel()
    bench.until_idle()
    assert bench.session.review.scored.sum() == 1
    bench.engine.gate = None
    bench.parts.inspect.inspect_waiting()
    bench.until_idle()
    assert bench.session.review.scored.all()


def test_that_a_corrupt_image_in_the_middle_is_listed_and_the_rest_inspected(bench: Bench) -> None:
    root = bench.open_parts()
    (root / "test" / "good" / "001.png").write_bytes(b"not a picture")
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    bench.parts.inspect.open([root / "test"])
    bench.until(lambda: len(bench.session.review) == 8)
    bench.until_idle()
    review = bench.session.review
    assert review.failed.sum() == 1
    assert review.scored.sum() == 7
    assert "could not be inspected" in bench.texts("warning")[0]
    assert len(review.messages) == 1


DOUBT = "light, focus, distance or position have changed"


@pytest.mark.parametrize(("bright", "dark", "doubted"), [(8, 2, True), (8, 3, False), (7, 0, False)])
def test_that_the_camera_is_doubted_where_nearly_all_of_many_images_are_flagged(
    bench: Bench, tmp_path: Path, bright: int, dark: int, doubted: bool
) -> None:
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    for number in range(bright + dark):
        write_picture(tmp_path / "line" / f"{number}.png", 200 if number < bright else 10)
    bench.parts.inspect.open([tmp_path / "line"])
    bench.until(lambda: len(bench.session.review) == bright + dark)
    bench.until_idle()
    said = [text for text in bench.texts("warning") if DOUBT in text]
    assert len(said) == doubted
    assert all(text.startswith(f"{bright} of {bright + dark} images") for text in said)


def test_that_images_known_to_be_defective_throw_no_doubt_on_the_camera(bench: Bench, tmp_path: Path) -> None:
    root = write_parts(tmp_path, test_good=2, defects=0)
    for number in range(12):
        write_picture(root / "test" / "scratch" / f"{number}.png", 200)
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    bench.parts.inspect.open([root / "test"])
    bench.until(lambda: len(bench.session.review) == 14)
    bench.until_idle()
    assert bench.session.review.scored.all()
    assert not any(DOUBT in text for text in bench.texts("warning"))


def test_that_nothing_new_starts_while_something_runs(bench: Bench) -> None:
    root = bench.open_parts()
    bench.engine.gate = gate = Gate()
    bench.parts.start_training()
    bench.until(gate.reached.is_set)
    bench.parts.opening.open([root])
    assert "Wait" in bench.texts("warning")[-1]
    bench.parts.deploy.save()
    bench.parts.start_training()
    assert bench.session.state is RunState.TRAINING
    gate.open()
    bench.until_idle()


def test_that_the_check_of_an_old_folder_never_lands_on_a_new_one(bench: Bench, tmp_path: Path) -> None:
    root = bench.open_parts()
    (root / "train" / "good" / "000.png").write_bytes(b"")
    other = write_parts(tmp_path / "other", good=15)
    bench.parts.opening.open([root])
    bench.until_idle()
    bench.parts.opening.open([other])
    bench.until_idle()
    bench.until(lambda: bench.session.samples is not None and not bench.session.samples.checking)
    samples = bench.session.samples
    assert samples is not None
    assert samples.dataset.root == other
    assert samples.sizes == (((24, 32), 15),)


def test_that_before_and_after_images_added_to_the_good_parts_are_no_longer_tested(bench: Bench) -> None:
    bench.open_parts()
    bench.train()
    bench.session.select((0,), 0)
    taken = bench.session.review.samples[0]
    bench.parts.add_selected_to_good()
    samples = bench.session.samples
    assert samples is not None
    assert taken in samples.good
    assert taken not in samples.test
    assert replace(samples, added=()).good == samples.dataset.good


def test_that_a_recent_folder_that_is_gone_is_told_so(bench: Bench, tmp_path: Path) -> None:
    bench.parts.opening.open([tmp_path / "gone"])
    assert "not there any more" in bench.texts("error")[0]
    assert bench.session.state is RunState.IDLE
