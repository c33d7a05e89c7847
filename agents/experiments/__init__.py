"""Studies, benchmarks and the page of all suites."""
