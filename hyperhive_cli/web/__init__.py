"""The web panel's gateway: a process of its own, a client of the control sockets. Its libraries: extra `web`."""
