"""The command line, one module a noun; thin over the same rules as the desk."""
