"""Processes killed by kill -9 at random moments."""
