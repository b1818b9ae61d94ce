"""Other senders, with a letter as long as ours: a bare smtplib loop, Flask-Mail, django-post-office.

Run as a program it is django-post-office: `python -m bench.peers PORT CONNECTIONS LETTERS FOLDER`
prints the seconds that sending takes.
"""

import logging
import smtplib
import subprocess
import sys
import time

import flask_mail
from flask import Flask

from bench.parallel import timed

SAMPLE = (
    b"From: a@press.example\r\nTo: b@reader.example\r\nSubject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
)
TEXT = "A new edition is out, and it is yours: nothing is left to pay.\n" * 24
HTML = "<p>A new edition is out, and <b>it is yours</b>: nothing is left to pay.</p>\n" * 55


def bare(port: int, connections: int, letters: int) -> float:
    """Letters a second of a bare smtplib loop in so many threads, one constant letter each time."""

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as server:
            for _ in range(letters // connections):
                server.sendmail("a@press.example", ["b@reader.example"], SAMPLE * 60)

    return letters / timed([send] * connections)


def flask_mail_loop(port: int, connections: int, letters: int) -> float:
    """Letters a second of Flask-Mail as documented, over kept connections, recording nothing."""
    app = Flask("peer")
    app.config |= {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": port,
        "MAIL_DEFAULT_SENDER": "shop@press.example",
    }
    mail = flask_mail.Mail(app)

    def send() -> None:
        with app.app_context(), mail.connect() as connection:
            for number in range(letters // connections):
                recipients = [f"reader{number}@reader.example"]
                connection.send(flask_mail.Message("A new edition", recipients, TEXT, HTML))

    return letters / timed([send] * connections)


def post_office(port: int, connections: int, letters: int, folder: str) -> float:
    """Letters a second of django-post-office in a process of its own, on SQLite as durable as ours."""
    numbers = [str(number) for number in (port, connections, letters)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers", *numbers, folder],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return letters / float(done.stdout.splitlines()[-1])


def _send_by_post_office(port: int, connections: int, letters: int, folder: str) -> float:
    import django
    from django.conf import settings
    from django.core.management import call_command

    pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/post-office.db",
                "OPTIONS": {"init_command": pragmas, "timeout": 30},
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        POST_OFFICE={"THREADS_PER_PROCESS": connections},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    logging.disable(logging.INFO)
    django.setup()
    call_command("migrate", verbosity=0)
    from post_office import mail
    from post_office.models import STATUS, Email

    owed = {"sender": "shop@press.example", "subject": "A new edition"}
    owed |= {"message": TEXT, "html_message": HTML}
    mail.send_many([{"recipients": [f"r{i}@reader.example"], **owed} for i in range(letters)])
    start = time.perf_counter()
    mail.send_queued_mail_until_done(processes=1)
    took = time.perf_counter() - start
    sent = Email.objects.filter(status=STATUS.sent).count()
    if sent % letters:
        raise RuntimeError(f"django-post-office sent {sent} of {letters} letters")
    return took


if __name__ == "__main__":
    print(_send_by_post_office(*(int(given) for given in sys.argv[1:4]), sys.argv[4]))
