"""Who bought what."""
