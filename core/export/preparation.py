"""From a picture of any size to the network's input, in operations of a graph."""

import torch
from torch import Tensor, nn

from core.config import Preprocessing, Resizing, StrideFit
from core.export.lengths import count_to, divide, lengths
from core.export.resizing import Axis, resize
from core.placement import MAX_ELONGATION_CROP, MAX_ELONGATION_WHOLE, Filter


class Place:
    """Where a picture lies, as `core.placement.Placement`; all int64 scalars but `possible` (bool scalar)."""

    def __init__(self, source: tuple[Tensor, Tensor], resized: tuple[Tensor, Tensor], possible: Tensor) -> None:
        self.source, self.resized, self.possible = source, resized, possible
        self.start = (torch.zeros_like(resized[0]), torch.zeros_like(resized[1]))
        self.crop = resized

    def cropped(self, side: int) -> "Place":
        """The central square."""
        self.crop = (torch.full_like(self.resized[0], side), torch.full_like(self.resized[1], side))
        self.start = (_half(self.resized[0] - side), _half(self.resized[1] - side))
        return self


def _half(length: Tensor) -> Tensor:
    """Half of a whole number, rounded to the even neighbour, as Python's round does."""
    half, odd = divide(length, 2)
    return half + odd * divide(half, 2)[1]


class Preparation(nn.Module):
    """From the picture to the network's input."""

    def __init__(self, preprocessing: Preprocessing, stride: int, precision: torch.dtype) -> None:
        super().__init__()
        self.preprocessing, self.stride, self.precision = preprocessing, stride, precision

    def place(self, image: Tensor) -> Place:
        """See `core.placement.place`."""
        source = lengths(image)
        height, width = source[0], source[1]
        size = self.preprocessing.image_size
        short, long = torch.minimum(height, width), torch.maximum(height, width)
        possible = height > 0
        match self.preprocessing.resizing:
            case Resizing.WHOLE:
                resized = self._whole(height, width, long)
            case Resizing.SQUARE:
                resized = (torch.full_like(height, size), torch.full_like(width, size))
            case Resizing.CROP:
                new_long = divide(size * long, short)[0]
                possible = new_long <= MAX_ELONGATION_CROP * size
                resized = (
                    torch.where(height <= width, torch.full_like(height, size), new_long),
                    torch.where(height <= width, new_long, torch.full_like(width, size)),
                )
        place = Place((height, width), resized, possible)
        return place.cropped(self.preprocessing.crop_size) if self._crops else place

    @property
    def _crops(self) -> bool:
        return self.preprocessing.resizing is Resizing.CROP

    def _whole(self, height: Tensor, width: Tensor, long: Tensor) -> tuple[Tensor, Tensor]:
        size = self.preprocessing.image_size
        area = height.to(self.precision) * width.to(self.precision)
        scale = torch.minimum(size / area.sqrt(), MAX_ELONGATION_WHOLE * size / long.to(self.precision))
        resized = (
            (height.to(self.precision) * scale).round().clamp(min=1.0).long(),
            (width.to(self.precision) * scale).round().clamp(min=1.0).long(),
        )
        if self.preprocessing.stride_fit is StrideFit.PADDED:
            return resized
        return self._rounded(resized[0]), self._rounded(resized[1])

    def _rounded(self, length: Tensor) -> Tensor:
        return divide(length + self.stride // 2, self.stride)[0].clamp(min=1) * self.stride

    def forward(self, image: Tensor, place: Place) -> Tensor:
        """(1, canvas H, canvas W, 3) float32, whole numbers in 0..255; see `core.placement.apply`."""
        kind = Filter.BILINEAR if self.preprocessing.resizing is Resizing.WHOLE else Filter.LANCZOS
        rows, columns = (
            Axis(source, resized, self._wanted(crop, start), kind, self.stride, self.precision)
            for source, resized, crop, start in zip(place.source, place.resized, place.crop, place.start, strict=True)
        )
        return resize(image, rows, columns)[None]

    def _wanted(self, length: Tensor, start: Tensor) -> Tensor:
        """The pixels of the resized picture along one axis of the canvas; its edge is repeated."""
        canvas = divide(length + self.stride - 1, self.stride)[0] * self.stride
        return torch.minimum(count_to(canvas), length - 1) + start
