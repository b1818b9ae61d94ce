"""An edition on its way to everybody who is entitled to it."""
