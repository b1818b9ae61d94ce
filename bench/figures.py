"""One table of figures: what was measured, of which reference, and what it must reach."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A ratio to a reference of the same run, or without a reference so many of a `unit`;
    `at_least` says whether more or less is better. Without `must` nothing is demanded."""

    what: str
    reference: str
    ratio: float
    must: float | None
    aim: float | None = None
    at_least: bool = True
    detail: str = ""
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the demand is met."""
        if self.must is None:
            return True
        return self.ratio >= self.must if self.at_least else self.ratio <= self.must


@dataclass(frozen=True)
class LeftOut:
    """A figure that this run does not measure, and why."""

    what: str
    why: str


def rounds(count: int, ours: Callable[[], float], reference: Callable[[], float]) -> float:
    """The median of ours/reference over interleaved rounds, so that a drifting machine is even."""
    ratios = []
    for _ in range(count):
        base = reference()
        ratios.append(ours() / base)
    return statistics.median(ratios)


def print_table(figures: list[Figure | LeftOut]) -> bool:
    """Print the figures; says whether all demands are met."""
    for figure in figures:
        if isinstance(figure, LeftOut):
            print(f"left {figure.what}\n     not measured: {figure.why}", flush=True)
            continue
        mark = "said" if figure.must is None else "ok  " if figure.holds else "FAIL"
        of = f"of {figure.reference}" if figure.reference else figure.unit
        print(f"{mark} {figure.what}")
        print(f"     {figure.ratio:8.2f} {of}{_demanded(figure)}", flush=True)
        if figure.detail:
            print(f"     {figure.detail}", flush=True)
    return all(figure.holds for figure in figures if isinstance(figure, Figure))


def _demanded(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    must = "" if figure.must is None else f"; must be {sign} {figure.must}"
    return must + (f"; aim {figure.aim}" if figure.aim is not None else "")
