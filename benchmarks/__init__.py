"""What rtsync costs, beside what its peers cost: ``python -m benchmarks``. Method and reading: ``README.md`` here."""
