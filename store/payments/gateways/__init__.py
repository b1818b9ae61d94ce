"""The ways of paying; each is one module behind the same calls."""
