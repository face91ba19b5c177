"""What tests stand on, ours and those of outsiders: conformance suites and simulated worlds."""
