"""A process that reads the mailbox of its settings again and again, until somebody ends it."""

import time
from datetime import timedelta

from store.app import create_app
from store.mail import returned_mailbox
from store.settings import load

if __name__ == "__main__":
    # Or each trial would wait ten minutes for the reader that was killed before.
    returned_mailbox._LEASE = timedelta(seconds=1)
    returned_mailbox.EVERY = timedelta()
    app = create_app(load())
    while True:
        with app.app_context():
            returned_mailbox.read_returned()
        time.sleep(0.02)
