"""A stand-in for Stripe: see README.md in this folder."""

from tests.stripe_double.server import StripeDouble

__all__ = ["StripeDouble"]
