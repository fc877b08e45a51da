"""A worker's life: the spawner that forks it, its channel to the supervisor, its heartbeat, its end."""
