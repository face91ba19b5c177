"""The edge of the scheduler: what hosts the brain. ``embedded`` is the host inside a run's own process."""
