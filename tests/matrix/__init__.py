"""What can happen to a session, as a table: each row a fault over real sockets, and what must come of it.

`losses` and `refusals` have the rows, `house` the service that they happen to, `waiters` one of every kind of wait.
Every row ends within its bound, says the same cause on every face, lets nobody hang, and leaves no thread and no
descriptor. What only the line can see (frames, echoes, TLS records) stands in `tests/line`; forks and the signals of
the operating system in `tests/process`.
"""
