"""`python -m bench [--full] [NAME …]`: print the figures; 1 where a demand is not met.

Without names everything is measured; what takes many minutes, only with `--full` or by its name.
"""

import sys

from bench import (
    histories,
    import_export,
    lists,
    locks,
    memory,
    nginx,
    orders,
    pages,
    pipeline,
    release,
    rows,
    start,
    weather,
    webhooks,
    writes,
)
from bench.figures import LeftOut, print_table

ALL = {
    "start": start.measure,
    "pages": pages.measure,
    "nginx": nginx.measure,
    "pipeline": pipeline.measure,
    "weather": weather.measure,
    "writes": writes.measure,
    "orders": orders.measure,
    "release": release.measure,
    "lists": lists.measure,
    "import_export": import_export.measure,
    "webhooks": webhooks.measure,
    "locks": locks.measure,
    "histories": histories.measure,
    "memory": memory.measure,
    "crowd": nginx.measure_whole,
    "rows": rows.measure,
}
SLOW = {
    "histories": "rows that differ after a thousand events of Stripe's in random order",
    "crowd": "behind nginx: 10,000 buyers in a minute beside slow readers",
    "memory": "a worker's peak memory at 1,000 and 100,000 readers",
    "rows": "the bytes that orders, letters and downloads take",
}

# Rows of the same table of demands that no bench measures.
ELSEWHERE = [
    LeftOut("what kill -9 at 200 random moments misses and doubles", "`make trials` does"),
    LeftOut("a claim takes no more rows than asked", "tests/mail/test_claims.py does"),
    LeftOut("longest function and file, complexity, types", "`make check` does"),
]


def main(given: list[str]) -> int:
    """Measure what is named, or everything."""
    names = [name for name in given if name != "--full"]
    held = True
    for name in names or list(ALL):
        if name in SLOW and not names and "--full" not in given:
            print_table([LeftOut(SLOW[name], "it takes long; `make bench-full` does")])
        else:
            held = print_table([*ALL[name]()]) and held
    if not names:
        print_table([*ELSEWHERE])
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
