"""The upload gate: what an uploaded file is, whether it may be sold, and what to do where not.

Self-contained: plain paths in, a report out; no database, no settings, no web framework.
"""

from store.catalog.inspecting.beside import odd_beside
from store.catalog.inspecting.limits import Limits
from store.catalog.inspecting.parent import inspect_file
from store.catalog.inspecting.report import JSON, Finding, Level, Report

__all__ = ["JSON", "Finding", "Level", "Limits", "Report", "inspect_file", "odd_beside"]
