"""The demonstration's story with Stripe's double as the gateway, as `make demo-stripe` plays it."""

import fcntl
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import below, environment, gone, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

# Begins the story with a shop that expects another signature, so that it refuses every message.
WITHOUT_SECRET = """
import sys
from tests.stripe_double import story
story.SECRET_OF_SHOP = "whsec_of_somebody_else"
sys.exit(story.main())
"""


@pytest.fixture(autouse=True)
def _one_at_a_time() -> Iterator[None]:
    """Demonstrations that look for a free port at the same moment would find the same one."""
    with (Path(tempfile.gettempdir()) / "colophon-demonstration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tell(data_dir: Path, *program: str) -> tuple[int, str, str]:
    """Play the story to its end; the exit code and what was said. No process is left."""
    env = environment(data_dir, 8000, PYTHONUNBUFFERED="1")
    del env["STORE_BASE_URL"]
    story = subprocess.Popen(
        [sys.executable, *program],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    family = []
    try:
        until(lambda: len(below(story)) >= 5 or story.poll() is not None, "the shop is started")
        family = below(story) if story.poll() is None else []
        out, err = story.communicate(timeout=300)
        until(lambda: gone(family), "every process of the story has ended")
    finally:
        for one in family:
            if one.is_running():
                one.kill()
        story.kill()
        story.communicate()
    return story.returncode, out, err


def test_the_story_is_paid_at_stripes_page_and_leaves_no_process(tmp_path: Path) -> None:
    code, out, err = _tell(tmp_path, "-m", "tests.stripe_double.story")
    assert (code, err) == (0, ""), out
    assert "It adds up: nobody was missed." in out
    told = re.findall("At Stripe: (.*)", out)
    assert told == ["4 sessions, 4 declined cards, 4 payments; 16 messages, 16 taken in at once."]


def test_a_shop_that_refuses_stripes_messages_ends_the_story_with_1(tmp_path: Path) -> None:
    code, out, err = _tell(tmp_path, "-c", WITHOUT_SECRET)
    # The order page asks Stripe itself, so that every buyer has their copy all the same.
    assert "It adds up: nobody was missed." in out
    assert code == 1
    assert err.splitlines()[-1].startswith("The story ends here: this did not h"), err
