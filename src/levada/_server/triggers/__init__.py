"""Triggers and goals as the server keeps them: what fires when, who unfolds what, what waits for which data."""
