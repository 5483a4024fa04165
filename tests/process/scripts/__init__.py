"""Programs that the tests run in processes of their own; each prints what it saw, and ends as its test wants."""
