"""`python -m tests.hurried web` is `store web`, but that its processes make their rounds each second:
they beat, look whether all is well, and write down what they measured."""

from store import serving
from store.cli import run
from store.kit import measures
from store.mail import heartbeats

# So long a process of the shop rests in use between two rounds, as docs/architecture.md says.
USUAL = {"look": 30.0, "beat": 20.0, "measure": 15.0}


def usual() -> dict[str, float]:
    """The rests of a process of the shop."""
    return {
        "look": serving.LOOK_SECONDS,
        "beat": heartbeats.EVERY_SECONDS,
        "measure": measures.EVERY_SECONDS,
    }


if __name__ == "__main__":
    serving.LOOK_SECONDS = heartbeats.EVERY_SECONDS = measures.EVERY_SECONDS = 1.0
    run()
