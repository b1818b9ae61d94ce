"""The outbox: every letter that is owed, and how it leaves."""
