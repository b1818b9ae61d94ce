"""Money: checkouts, what the gateways report, and what follows from it."""
