"""What applications share: state, topics, calls, cache; beside Redis over its Unix socket."""
