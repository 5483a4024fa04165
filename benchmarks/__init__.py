"""What is measured by hand: see `benchmarks/README.md`."""
