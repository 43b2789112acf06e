"""The tables of an SQLite file of this program, and how a file of an older version becomes one of this."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schema:
    """What tells one kind of store from another.

    Attributes:
        name: What errors call it ("review store").
        application: In the file's header: other SQLite files are refused.
        migrations: What leads from each version to the next; only ever appended to.
    """

    name: str
    application: int
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        """The version that this program writes."""
        return len(self.migrations)

    def version_of(self, connection: sqlite3.Connection) -> int:
        """The schema version of an open file; 0: empty, -1: a file of another program."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == 0 and version == 0 and tables == 0:
            return 0
        return int(version) if application == self.application and version >= 1 else -1

    def migrate(self, connection: sqlite3.Connection, version: int) -> None:
        """Bring a store of that version to this one's, within the transaction that is open."""
        for number, statements in enumerate(self.migrations[version:], version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self.application}")
            connection.execute(f"PRAGMA user_version = {number}")
