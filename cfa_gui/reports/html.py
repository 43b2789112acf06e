"""A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from base64 import b64encode
from dataclasses import asdict
from importlib.resources import files

from cfa_gui.reports.report import GROUP_WORDS, READING, SCORING, Report
from cfa_gui.theme import LIGHT, MARKS


def html_report(report: Report) -> bytes:
    """The page in UTF-8. Everything that comes from outside (names, messages) is escaped by the template."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("resources") / "report.html").read_text(encoding="utf-8"))
    page = template.render(
        report=report,
        colours=asdict(LIGHT),
        marks=MARKS,
        data_url=_data_url,
        scoring=SCORING,
        reading=READING,
        group_words=GROUP_WORDS,
    )
    return page.encode("utf-8", "backslashreplace")


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"
