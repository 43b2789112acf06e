"""Errors that a user can cause and mend. Everything else is a bug and keeps its traceback.

Every message says what is wrong, where, and what to do, in one or two plain sentences.
"""


class CfaError(Exception):
    """Something the user can fix; the text is shown to them as it is."""


class ConfigError(CfaError):
    """A setting is outside what it may be."""


class ImageError(CfaError):
    """A file cannot be read as an image."""


class DatasetError(CfaError):
    """A folder does not hold what the task needs."""


class WeightsError(CfaError):
    """The backbone's weights are missing, damaged or of another network."""


class ModelFileError(CfaError):
    """A model file is missing, damaged, or of a version that this program does not know."""


class CheckpointError(CfaError):
    """An unfinished training cannot be gone on with."""


class OutputError(CfaError):
    """A result cannot be written where the user asked for it."""


class ExportError(CfaError):
    """A model cannot be exported, or would not give the original's scores."""


class StoreError(CfaError):
    """A store (of reviews, of a watch) cannot be read or written."""


class TargetError(CfaError):
    """Results cannot be delivered to where they should go; later they may."""


class RefusedError(TargetError):
    """A receiver is there, but does not take this result."""


class ServiceError(CfaError):
    """The service cannot be started."""


class ClusterError(CfaError):
    """Other machines cannot be reached, or cannot do what they are asked."""


class ThresholdError(CfaError):
    """The threshold asked for cannot be had from the images at hand."""


class SourceError(CfaError):
    """A camera, a video or a watched folder gives no pictures."""


class SourceLostError(SourceError):
    """A source that gave pictures has stopped; it may come back."""


class DeviceError(CfaError):
    """The device asked for is absent or has too little memory."""


class OutOfMemoryError(DeviceError):
    """The settings need more memory than the device has free; smaller ones may do."""


class CancelledByUser(Exception):  # noqa: N818  an outcome, not an error
    """The user cancelled; nothing is wrong and nothing was written."""
