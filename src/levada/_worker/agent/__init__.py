"""The agent beside a resident worker: unfolds goals, each in a fresh process, and watches places for the server."""
