"""What is measured by hand, beside its peers and over hours: ``python -m benchmarks``, ``python -m benchmarks.soak``.

Method and reading: ``README.md`` here.
"""
