"""The tables of the review store, and how a store of an older version becomes one of this. Imports only sqlite3."""

import sqlite3

APPLICATION_ID = 0x43464152
"""CFAR, in the file's header: other SQLite files are refused."""

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE model (
            id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, path TEXT NOT NULL, added TEXT NOT NULL
        )""",
        """CREATE TABLE project (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL, changed TEXT NOT NULL,
            model INTEGER REFERENCES model, view TEXT NOT NULL DEFAULT '{}'
        )""",
        """CREATE TABLE image (
            id INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE, path TEXT NOT NULL,
            name TEXT NOT NULL, kind TEXT NOT NULL, mask TEXT, content_hash TEXT, bytes INTEGER, height INTEGER,
            width INTEGER, UNIQUE (project, path)
        )""",
        """CREATE TABLE score (
            id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
            model INTEGER NOT NULL REFERENCES model, score REAL, message TEXT, at TEXT NOT NULL,
            CHECK ((score IS NULL) <> (message IS NULL))
        )""",
        "CREATE INDEX score_of_image ON score (image, id)",
        """CREATE TABLE threshold (
            id INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
            model INTEGER NOT NULL REFERENCES model, threshold TEXT NOT NULL, user TEXT NOT NULL, at TEXT NOT NULL
        )""",
        "CREATE INDEX threshold_of_project ON threshold (project, id)",
        """CREATE TABLE label (
            id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
            label TEXT NOT NULL CHECK (label IN ('good', 'defect', '')), user TEXT NOT NULL, at TEXT NOT NULL,
            undoes INTEGER REFERENCES label
        )""",
        "CREATE INDEX label_of_image ON label (image, id)",
        "CREATE TRIGGER label_is_a_log BEFORE UPDATE ON label BEGIN SELECT RAISE(ABORT, 'labels are a log'); END",
        "CREATE TRIGGER score_is_a_log BEFORE UPDATE ON score BEGIN SELECT RAISE(ABORT, 'scores are a log'); END",
        """CREATE TRIGGER threshold_is_a_log BEFORE UPDATE ON threshold
            BEGIN SELECT RAISE(ABORT, 'thresholds are a log'); END""",
    ),
)
"""What leads from each version to the next; only ever appended to."""

SCHEMA_VERSION = len(_MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of an open file; 0: empty, -1: a file of another program."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and version == 0 and tables == 0:
        return 0
    return int(version) if application == APPLICATION_ID and version >= 1 else -1


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store of that version to this one's, within the transaction that is open."""
    for number, statements in enumerate(_MIGRATIONS[version:], version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
