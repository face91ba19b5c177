"""HTTP in front of the host: decoding, credentials, limits, streams. Decides nothing about tasks."""
