"""Programs to read and to run: ``aggregation`` in the old spelling, ``flights`` on real data in the new one."""
