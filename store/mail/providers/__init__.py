"""Providers that carry letters and post what comes back, one module each."""
