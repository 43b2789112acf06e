"""The tables of the review store."""

from core.store_schema import Schema

_CFAR = 0x43464152

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

REVIEW_STORE = Schema("review store", _CFAR, _MIGRATIONS)
SCHEMA_VERSION = REVIEW_STORE.version
