"""A report from results to the file; the kind follows from the file's suffix. Runs on a worker thread."""

from collections.abc import Sequence
from pathlib import Path

from cfa_gui.models.exports import MapOf
from cfa_gui.reports.build import Subject, build_report
from core.atomic_file import require_writable, write_bytes
from core.progress import CancelToken, Report
from core.result_files import refuse_overwriting

PDF, HTML = ".pdf", ".html"


def write_report(
    subject: Subject, map_of: MapOf, path: Path, precious: Sequence[Path], report: Report, cancel: CancelToken
) -> None:
    """Write a report, wholly or not at all.

    Args:
        subject: What it is about.
        map_of: Gives the anomaly maps.
        path: Ends in .pdf for a PDF, otherwise HTML is written.
        precious: Files that must not be overwritten: all images and the model.
        report: Told after each image, then after each page.
        cancel: Checked before each of them.

    Raises:
        OutputError: The file cannot be written, or would overwrite a precious one.
        CancelledByUser: Nothing was written.
    """
    refuse_overwriting([path], precious)
    require_writable(path)
    content = build_report(subject, map_of, report, cancel)
    if path.suffix.lower() == PDF:
        from cfa_gui.reports.pdf import pdf_report

        data = pdf_report(content, report, cancel)
    else:
        from cfa_gui.reports.html import html_report

        data = html_report(content)
    cancel.check()
    write_bytes(path, data)
