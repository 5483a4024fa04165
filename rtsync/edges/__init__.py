"""The outside world, one module a dependency: socket, websocket-client, blinker, credentials."""
