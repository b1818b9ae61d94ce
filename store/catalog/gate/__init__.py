"""The upload gate: what an uploaded file is, whether it may be sold, and what to do where not.

Self-contained: plain paths in, a report out; no database, no settings, no web framework.
"""
