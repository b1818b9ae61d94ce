"""Tools without business words: database, statuses, tokens, money, time, storage, jobs, limits."""
