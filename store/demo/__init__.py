"""The sample shop: seed, story, pay page and inbox. Not loaded in production."""
