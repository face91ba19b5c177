"""Alerts: what went wrong, told once for each cause to those whose tasks they are."""
