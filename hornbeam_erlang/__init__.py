"""What applications import to use the state, topics and calls of their hornbeamd."""
