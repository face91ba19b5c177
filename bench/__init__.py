"""The figures of Levada beside a bare loop and Luigi: ``python -m bench`` (docs/benchmarks.md)."""
