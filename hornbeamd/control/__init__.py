"""What an operator says to the running daemon: one table of commands, a socket, and the command ``hornbeamctl``."""
