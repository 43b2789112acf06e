"""From what a person writes to the target that is meant."""

from pathlib import Path

from core.errors import ConfigError
from core.images import shown
from core.line.watching.targets.database import SqliteTarget
from core.line.watching.targets.files import CsvTarget, FolderTarget
from core.line.watching.targets.mqtt import MqttTarget
from core.line.watching.targets.target import Target
from core.line.watching.targets.webhook import WebhookTarget

KINDS = "a folder, FILE.csv, FILE.sqlite, http(s)://..., mqtt(s)://BROKER:PORT/TOPIC"
_DATABASES = (".sqlite", ".sqlite3", ".db")


def target_of(address: str) -> Target:
    """The target at an address.

    Raises:
        ConfigError: It is of no known kind, or not as its kind should be.
    """
    scheme, separator, _ = address.partition("://")
    if separator:
        match scheme.lower():
            case "http" | "https":
                return WebhookTarget(address)
            case "mqtt" | "mqtts":
                return MqttTarget(f"{scheme.lower()}://{address[len(scheme) + 3 :]}")
        raise ConfigError(f"Results cannot go to {shown(scheme)}://. Name {KINDS}.")
    path = Path(address)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return CsvTarget(path)
    if suffix in _DATABASES:
        return SqliteTarget(path)
    if suffix and not path.is_dir():
        raise ConfigError(f"{shown(address)} is no folder that is there, and {suffix} is none of: {KINDS}.")
    return FolderTarget(path)
