"""What all workers share: the state and the cache. See README.md here."""
