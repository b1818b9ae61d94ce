"""`python -m bench [pages] [pipeline] [release] [webhooks] [locks] [histories]`: print the figures; 1 where a demand is not met."""

import sys

from bench import histories, locks, pages, pipeline, release, webhooks
from bench.figures import print_table

ALL = {
    "pages": pages.measure,
    "pipeline": pipeline.measure,
    "release": release.measure,
    "webhooks": webhooks.measure,
    "locks": locks.measure,
    "histories": histories.measure,
}


def main(names: list[str]) -> int:
    """Measure what is named, or everything."""
    held = True
    for name in names or list(ALL):
        held = print_table(ALL[name]()) and held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
