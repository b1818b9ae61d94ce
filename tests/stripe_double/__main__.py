"""A stand-in for Stripe, for tests.  See README.md.

    python -m tests.stripe_double --port 0 --webhook-url http://127.0.0.1:5000/webhook \\
        --webhook-secret whsec_x

The first line printed is the server's URL.
"""

from __future__ import annotations

import argparse
import signal
import threading

from tests.stripe_double.server import StripeDouble
from tests.stripe_double.webhooks import Weather
from tests.stripe_double.world import Settings

__all__ = ["Settings", "StripeDouble"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A stand-in for Stripe, for tests. Listens on this machine only."
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--webhook-url", help="where events are sent")
    parser.add_argument("--webhook-secret", default="whsec_test")
    parser.add_argument(
        "--webhook-events", nargs="*", help="event types to send (default: all)"
    )
    parser.add_argument("--seed", type=int, help="make ids and disturbances repeatable")
    parser.add_argument(
        "--tax-percent", type=float, default=20.0, help="the made-up tax rate"
    )
    parser.add_argument(
        "--zero-rated",
        nargs="*",
        default=[],
        metavar="TAX_CODE",
        help="product tax codes that are not taxed",
    )
    weather = parser.add_argument_group("webhook weather")
    weather.add_argument("--hold", action="store_true", help="send nothing until told")
    weather.add_argument("--parallel", type=int, default=1, metavar="DELIVERIES")
    weather.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    weather.add_argument("--shuffle", type=float, default=0.0, metavar="SECONDS")
    weather.add_argument("--duplicate", type=float, default=0.0, metavar="CHANCE")
    weather.add_argument("--drop", type=float, default=0.0, metavar="CHANCE")
    weather.add_argument("--retry-base", type=float, default=0.2, metavar="SECONDS")
    weather.add_argument("--attempts", type=int, default=5)
    args = parser.parse_args()

    double = StripeDouble(
        port=args.port,
        webhook_url=args.webhook_url,
        webhook_secret=args.webhook_secret,
        webhook_events=args.webhook_events,
        settings=Settings(
            tax_percent=args.tax_percent, zero_rated_tax_codes=set(args.zero_rated)
        ),
        seed=args.seed,
    )
    double.post.set_weather(
        Weather(
            hold=args.hold,
            parallel=args.parallel,
            delay=args.delay,
            shuffle=args.shuffle,
            duplicate=args.duplicate,
            drop=args.drop,
            retry_base=args.retry_base,
            attempts=args.attempts,
        )
    )
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: finished.set())
    with double:
        print(double.url, flush=True)
        finished.wait()


if __name__ == "__main__":
    main()
