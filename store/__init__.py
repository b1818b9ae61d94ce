"""Colophon: a publication storefront that keeps every buyer's copy current."""
