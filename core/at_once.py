"""How many images a CPU computes at once: the threads of different images do not wait for each other."""

import math

import torch

from core.config import Config, Resizing

_IMAGES = 8
"""At most: files may be large, and each is decoded by the thread that scores it."""
_PIXELS = 1024 * 1024
"""Of the network's input, in all images at once: the memory that each takes grows with them."""


def images_at_once(config: Config, count: int) -> int:
    """How many of `count` images are best computed at once, 1 to 8, and no more than torch has threads.

    Each gets as many threads as any other. Large images have many for each anyway, and are fewer.
    """
    threads, largest = torch.get_num_threads(), max(_pixels(member) for member in config.members)
    most = max(1, min(count, threads, _IMAGES, _PIXELS // largest))
    return threads // math.ceil(threads / most)


def _pixels(member: Config) -> int:
    """Of the network's input, for one image."""
    looks = member.preprocessing
    return (looks.crop_size if looks.resizing is Resizing.CROP else looks.image_size) ** 2
