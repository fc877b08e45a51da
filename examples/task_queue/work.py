"""What the processes of the pool do: count primes, and tell how far they are."""

from math import isqrt

from hornbeam_erlang import publish, state_set

KEPT = 3600
"""How long, in seconds, the state of a task is kept."""

STEPS = 20


def topic(task):
    """Where the steps of a task are published, and the key of its state."""
    return f"task:{task}"


class Primes:
    """The handler of ``[hornbeam.pools.primes]``."""

    def count(self, task, below):
        """How many primes there are *below* a number."""
        found = 0
        for step in range(STEPS):
            first, last = (2 + (below - 2) * at // STEPS for at in (step, step + 1))
            found += sum(map(is_prime, range(first, last)))
            done = step + 1 == STEPS
            tell(task, {"state": "done" if done else "running", "percent": 100 * (step + 1) // STEPS, "found": found})
        return found


def is_prime(number):
    return all(number % divisor for divisor in range(2, isqrt(number) + 1))


def tell(task, progress):
    """Keep it for who asks later, and tell who looks now."""
    state_set(topic(task), progress, ttl=KEPT)
    publish(topic(task), progress)
