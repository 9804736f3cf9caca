"""The control socket: the wire, the client (stdlib sockets) and the server (trio)."""
