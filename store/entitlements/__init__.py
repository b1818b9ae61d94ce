"""What a customer may read, and the links that show it."""
