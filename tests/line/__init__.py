"""The line (`rtsync.edges`) under every fault that a network, a server or a program can bring.

`recorder` runs a line in a thread and remembers what its callbacks were told. `test_opening`, `test_refusals`,
`test_proxies`, `test_tls` follow a connect; `test_frames`, `test_sending`, `test_silence` an open line;
`test_closing` its end; `test_interrupts` and `test_tickets` run programs of their own and judge how these end.
"""
