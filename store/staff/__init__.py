"""Staff: who may use the desk, how they sign in, and who may open which door."""
