"""Words that every room knows: events, targets, errors, deadlines. Imports nothing of rtsync above it."""
