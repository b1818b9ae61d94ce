"""One table of figures: what was measured, of which reference, and what it must reach."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A ratio; `at_least` says whether more or less is better."""

    what: str
    reference: str
    ratio: float
    must: float
    at_least: bool = True
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the demand is met."""
        return self.ratio >= self.must if self.at_least else self.ratio <= self.must


def rounds(count: int, ours: Callable[[], float], reference: Callable[[], float]) -> float:
    """The median of ours/reference over interleaved rounds, so that a drifting machine is even."""
    ratios = []
    for _ in range(count):
        base = reference()
        ratios.append(ours() / base)
    return statistics.median(ratios)


def print_table(figures: list[Figure]) -> bool:
    """Print the figures; says whether all demands are met."""
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        mark = "ok  " if figure.holds else "FAIL"
        print(f"{mark} {figure.what}")
        print(f"     {figure.ratio:8.2f} of {figure.reference}; must be {sign} {figure.must}")
        if figure.detail:
            print(f"     {figure.detail}")
    return all(figure.holds for figure in figures)
