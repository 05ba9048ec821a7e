"""A real server, in a process of its own, over real sockets."""
