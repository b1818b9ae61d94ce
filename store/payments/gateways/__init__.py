"""Ways of paying, each behind the protocol of `base`."""
