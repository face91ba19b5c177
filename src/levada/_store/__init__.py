"""The memory: rows in, rows out, no opinions."""
