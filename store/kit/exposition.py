"""Numbers in Prometheus's text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass
class Family:
    """One metric: what it counts, and its samples, each with a suffix of the name, its labels and
    its value."""

    name: str
    kind: str  # gauge, counter or histogram
    help: str
    samples: list[tuple[str, Labels, float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One sample of a gauge or a counter."""
        self.samples.append(("", labels, value))

    def add_times(
        self, bounds: Sequence[float], numbers: Sequence[int], seconds: float, **labels: str
    ) -> None:
        """One histogram: how many in each range, of which the last has no end, and their sum."""
        ends = [*(_number(one) for one in bounds), "+Inf"]
        for end, number in zip(ends, accumulate(numbers), strict=True):
            self.samples.append(("_bucket", labels | {"le": end}, number))
        self.samples.append(("_sum", labels, seconds))
        self.samples.append(("_count", labels, sum(numbers)))


def written(families: Sequence[Family]) -> str:
    """The text that a scrape answers with. A metric without a sample keeps its head."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    told = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {told}"
    yield f"# TYPE {family.name} {family.kind}"
    for suffix, labels, value in family.samples:
        inside = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        yield f"{family.name}{suffix}{f'{{{inside}}}' if inside else ''} {_number(value)}"


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
