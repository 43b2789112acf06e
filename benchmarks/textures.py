"""Sets of a real texture, cut at random angles, with small faint defects drawn in.

    python benchmarks/textures.py FOLDER [brick gravel grass]        (needs scikit-image, which the extra peers brings)

FOLDER/brick is the set of decisions 14, 15, 19 and 20; no decision was taken by looking at the other two. Of each,
100 images to train on come from the left half; 40 good ones and 60 with a spot, a scratch or a smear come from
the right half, so that no tested place was ever learned.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.opencv import cv2

SIDE, CUT, SEED = 256, 220, 7
Grey = NDArray[np.floating]


TEXTURES = ("brick", "gravel", "grass")
"""Photographs, 512 × 512, that scikit-image brings along."""


def cut(texture: Grey, random: np.random.Generator, *, right: bool) -> Grey:
    """(256, 256) of one half, at any angle, a little larger, smaller, darker or brighter."""
    height, width = texture.shape
    reach = CUT * 0.71
    across = random.uniform(width / 2, width - reach) if right else random.uniform(reach, width / 2)
    down = random.uniform(reach, height - reach)
    angle, scale = random.uniform(0, 360), SIDE / CUT * random.uniform(0.92, 1.08)
    matrix = cv2.getRotationMatrix2D((across, down), angle, scale)
    matrix[:, 2] += (SIDE / 2 - across, SIDE / 2 - down)
    image = cv2.warpAffine(texture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(image, np.float32) * random.uniform(0.95, 1.05)


def spoiled(image: Grey, random: np.random.Generator, kind: str) -> tuple[Grey, NDArray[np.bool_]]:
    """The image with a defect, and where it is."""
    mask = np.zeros(image.shape, np.float32)
    if kind == "spot":
        radius, middle = random.uniform(3, 7), random.uniform(15, SIDE - 15, 2)
        size = (2 * radius, 2 * radius * random.uniform(0.6, 1))
        cv2.ellipse(mask, (middle.tolist(), size, float(random.uniform(0, 180))), 1, -1)
        soft = cv2.GaussianBlur(mask, (0, 0), 1.2)
        change = random.choice([-1, 1]) * random.uniform(0.8, 1.5) * image.std()
        grain = random.normal(0, 0.15 * image.std(), image.shape)
        return image * (1 - soft) + soft * (image.mean() + change + grain), mask > 0
    if kind == "scratch":
        length = random.uniform(25, 60)
        place, angle = random.uniform(30, SIDE - 30, 2), random.uniform(0, 2 * np.pi)
        for _ in range(int(length // 3)):
            angle += random.normal(0, 0.35)
            end = place + 3 * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(mask, place.astype(int).tolist(), end.astype(int).tolist(), 1, 2)
            place = end
        soft = cv2.GaussianBlur(mask, (0, 0), 0.9)
        change = random.uniform(1.4, 2.4) * image.std() * random.choice([-1, 1])
        return image + soft * change, np.asarray(cv2.dilate(mask, np.ones((3, 3)))) > 0
    middle, size = random.uniform(30, SIDE - 30, 2), (random.uniform(16, 28), random.uniform(12, 22))
    cv2.ellipse(mask, (middle.tolist(), size, float(random.uniform(0, 180))), 1, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 2)
    return image * (1 - soft) + soft * cv2.GaussianBlur(image, (0, 0), random.uniform(2, 4)), mask > 0


def write(path: Path, image: Grey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.clip(image, 0, 255).astype(np.uint8))[1].tobytes())


def make(texture: Grey, folder: Path) -> None:
    """The set of one texture, in MVTec AD layout."""
    random = np.random.default_rng(SEED)

    def noise() -> Grey:
        return random.normal(0, 2, (SIDE, SIDE))

    for place, count, right in (("train/good", 100, False), ("test/good", 40, True)):
        for number in range(count):
            write(folder / place / f"{number:03d}.png", cut(texture, random, right=right) + noise())
    for kind in ("spot", "scratch", "smear"):
        for number in range(20):
            image, mask = spoiled(cut(texture, random, right=True), random, kind)
            write(folder / "test" / kind / f"{number:03d}.png", image + noise())
            write(folder / "ground_truth" / kind / f"{number:03d}_mask.png", mask * 255.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("textures", nargs="*", default=TEXTURES, metavar="TEXTURE", help=", ".join(TEXTURES))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.textures) - set(TEXTURES))
    if unknown:
        parser.error(f"there is no texture {', '.join(unknown)}; choose from {', '.join(TEXTURES)}")
    found = find_spec("skimage")
    if found is None or found.origin is None:
        sys.exit('The sets need scikit-image. Install it with: pip install "cfa-gui[peers]"')
    for name in arguments.textures:
        data = np.fromfile(Path(found.origin).parent / f"data/{name}.png", np.uint8)
        make(np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)), arguments.folder / name)


if __name__ == "__main__":
    main()
