"""The customer's doors."""
