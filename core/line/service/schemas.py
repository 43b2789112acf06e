"""What the service answers, as it stands in its OpenAPI."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_IDENTITY = "5f0c9d7be1a2b34c5f0c9d7be1a2b34c5f0c9d7be1a2b34c5f0c9d7be1a2b34c"
Pixels = Annotated[int, Field(ge=0)]


class Region(BaseModel):
    """A connected part of the image above the threshold, in pixels of the image as sent (turned as its EXIF says)."""

    top: Pixels
    left: Pixels
    height: Pixels
    width: Pixels
    area: Annotated[int, Field(ge=1, description="Pixels above the threshold.")]
    peak: Annotated[float, Field(description="Its highest score.")]
    peak_row: Pixels
    peak_column: Pixels
    mean: Annotated[float, Field(description="Its mean score.")]


class Milliseconds(BaseModel):
    """Where the time went. `total` has the reading of the request out, and the waiting for a worker in."""

    waiting: float
    decoding: float
    inspecting: Annotated[float, Field(description="With the wait for the image before it, if any.")]
    total: float


class InspectionResult(BaseModel):
    """What was found on one image."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "bottle",
                    "identity": _IDENTITY,
                    "score": 1.8427,
                    "threshold": 0.6764,
                    "lower": None,
                    "verdict": "defect",
                    "width": 900,
                    "height": 900,
                    "regions": [
                        {
                            "top": 410,
                            "left": 122,
                            "height": 64,
                            "width": 88,
                            "area": 4110,
                            "peak": 1.8427,
                            "peak_row": 441,
                            "peak_column": 160,
                            "mean": 1.1032,
                        }
                    ],
                    "milliseconds": {"waiting": 0.1, "decoding": 9.2, "inspecting": 21.4, "total": 31.5},
                }
            ]
        }
    )

    model: Annotated[str, Field(description="Its name here.")]
    identity: Annotated[str, Field(description="SHA-256 of its weights and settings; the threshold takes no part.")]
    score: Annotated[float, Field(ge=0, description="Anomaly score: the maximum of the anomaly map.")]
    threshold: Annotated[float, Field(description="A score above it is a defect.")]
    lower: Annotated[
        float | None,
        Field(description="Above it, and up to the threshold, the verdict is uncertain; null: no such band."),
    ]
    verdict: Annotated[str, Field(json_schema_extra={"enum": ["good", "uncertain", "defect"]})]
    width: Annotated[int, Field(ge=1, description="Of the image, in pixels.")]
    height: Annotated[int, Field(ge=1, description="Of the image, in pixels.")]
    regions: Annotated[
        list[Region],
        Field(description="Highest peak first, at most 200; there is one if and only if the verdict is defect."),
    ]
    milliseconds: Milliseconds


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    default: Annotated[bool, Field(description="Whether /inspect takes it.")]
    ready: Annotated[bool, Field(description="Whether it is loaded and warmed.")]
    identity: Annotated[str | None, Field(description="null until it is loaded.")]
    threshold: float | None
    lower: float | None
    threshold_in_words: Annotated[str | None, Field(description="How the threshold was chosen.")]
    created: Annotated[str | None, Field(description="UTC, ISO 8601.")]


class Models(BaseModel):
    """All models, the default first."""

    models: list[ModelInfo]


class Health(BaseModel):
    """How the service is."""

    status: str
    version: str


class ProblemBody(BaseModel):
    """What went wrong, as RFC 9457 says (application/problem+json)."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "The image is empty (0 bytes). Copy it again from where it came, or remove it.",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What is wrong and what to do, for a person.")]
