"""What happened, in sentences from the rows: for the margin of the desk's pages and for a terminal."""
