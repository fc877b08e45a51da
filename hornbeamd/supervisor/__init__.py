"""The supervisor: the process that holds the listening sockets and starts the rest; it runs no app code."""
