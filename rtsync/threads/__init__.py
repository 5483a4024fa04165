"""The only threads and locks: the reader, the delivery of handlers, the waits."""
