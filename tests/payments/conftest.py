"""The shop that is paid through Stripe's double, for the tests of this folder."""

from tests.payments.stripe_shop import (  # noqa: F401 - fixtures
    buyer,
    double,
    paid,
    pass_time,
    port,
    served,
    shop,
    stripe_server,
)
