"""One self-contained page from a result folder: for a committee, for a printer, for an agent's phone."""

from fairlot.report.page import report_page

__all__ = ["report_page"]
