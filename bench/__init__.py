"""Figures that can be repeated: each a ratio to a reference of the same run, never a bare time."""
