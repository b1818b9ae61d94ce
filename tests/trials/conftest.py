"""How many kills, and from which seed: `make trials` asks for 200 of each, and 50 power cuts."""

import pytest

from .tally import SEED


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


@pytest.fixture
def cuts(request: pytest.FixtureRequest) -> int:
    """How often the power is cut; not at all where nobody asks for it."""
    many = int(request.config.getoption("--cuts"))
    if many == 0:
        pytest.skip("`make trials` cuts the power")
    return many


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed") or SEED)
