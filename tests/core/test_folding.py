import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.folding import CONSTANTS, fold


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(0, 1000),
)
@settings(deadline=None)
def test_that_folding_keeps_every_distance_and_its_parts_add_up(
    channels: list[int], width: int, centres: int, seed: int
) -> None:
    """For a patch whose levels are given at one place: fewer, as many and more channels than the pyramid has."""
    random = np.random.default_rng(seed)
    levels = [random.normal(size=(width, count)).astype(np.float32) for count in channels]
    coordinates, bias = (random.normal(size=size).astype(np.float32) for size in ((width, 2), width))
    bank = random.normal(size=(centres, width)).astype(np.float32) + np.float32(3)
    patch = [random.normal(size=count) for count in channels]
    place = random.uniform(-1, 1, size=2)

    phi = sum((weight @ values for weight, values in zip(levels, patch, strict=True)), coordinates @ place + bias)
    distances = np.square(phi - bank).sum(axis=1)

    directions = min(5, width)
    axes = random.normal(size=(centres, 3, directions)).astype(np.float32)
    basis = np.linalg.qr(random.normal(size=(width, directions)))[0].T.astype(np.float32)
    along = (phi - bank) @ basis.T

    folded = fold(levels, coordinates, bias, bank, axes, basis)
    inputs = [np.concatenate((patch[0], place, [1.0])), *patch[1:]]
    rotated = np.zeros(folded.centres.shape[1])
    for weight, values in zip(folded.weights, inputs, strict=True):
        rotated[: weight.shape[1]] += values @ weight
    scale = float(np.abs(phi).max() + np.abs(bank).max()) ** 2
    np.testing.assert_allclose(np.square(rotated - folded.centres).sum(axis=1), distances, rtol=1e-4, atol=1e-5 * scale)
    assert np.array_equal(folded.axes, axes)
    turned = folded.basis @ rotated - folded.feet
    np.testing.assert_allclose(turned, along, rtol=1e-3, atol=1e-4 * scale)
    ranks = sum(values @ part for part, values in zip(folded.products, inputs, strict=True))
    np.testing.assert_allclose(ranks + np.square(rotated).sum(), distances, rtol=1e-4, atol=1e-5 * scale)


def test_that_the_finer_levels_reach_no_further_than_their_channels() -> None:
    """What makes it cheap: the finest level fills its own channels alone."""
    random = np.random.default_rng(0)
    levels = [random.normal(size=(40, count)).astype(np.float32) for count in (4, 9, 20)]
    folded = fold(
        levels,
        np.ones((40, 2), np.float32),
        np.ones(40, np.float32),
        np.ones((5, 40), np.float32),
        np.ones((5, 0, 0), np.float32),
        np.ones((0, 40), np.float32),
    )
    assert [part.shape for part in folded.weights] == [(4 + CONSTANTS, 7), (9, 16), (20, 36)]
    assert folded.centres.shape == (5, 36 + 1)


def test_that_descriptors_are_written_in_the_basis_of_the_axes_where_that_is_whole() -> None:
    """What makes it cheap: the foot on the axes then is the descriptor."""
    random = np.random.default_rng(0)
    levels = [random.normal(size=(8, count)).astype(np.float32) for count in (4, 9, 20)]
    coordinates, bias, bank = (random.normal(size=size).astype(np.float32) for size in ((8, 2), 8, (5, 8)))
    basis = np.linalg.qr(random.normal(size=(8, 8)))[0].astype(np.float32)
    whole = fold(levels, coordinates, bias, bank, np.ones((5, 1, 8), np.float32), basis)
    assert whole.in_basis
    np.testing.assert_allclose(whole.basis, np.eye(8), atol=1e-6)
    np.testing.assert_allclose(whole.centres, whole.feet, atol=1e-6)
    part = fold(levels, coordinates, bias, bank, np.ones((5, 1, 7), np.float32), basis[:7])
    assert not part.in_basis


@pytest.mark.parametrize(("width", "in_parts"), [(1792, True), (896, True), (448, False), (224, False)])
def test_that_products_are_taken_level_by_level_where_that_is_less_work(width: int, in_parts: bool) -> None:
    levels = [np.ones((width, count), np.float32) for count in (256, 512, 1024)]
    bias = np.ones(width, np.float32)
    bank, axes, basis = (np.ones(shape, np.float32) for shape in ((3, width), (3, 0, 0), (0, width)))
    folded = fold(levels, np.ones((width, 2), np.float32), bias, bank, axes, basis)
    assert folded.in_parts is in_parts
