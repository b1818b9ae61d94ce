"""Processes killed by kill -9 at random moments; machines that share one outbox."""
