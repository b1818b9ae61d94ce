"""How many kills, and from which seed: `make trials` asks for 200 of each."""

import pytest

from .tally import SEED


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed") or SEED)
