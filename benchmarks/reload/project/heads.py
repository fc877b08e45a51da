"""What the head of an answer says of the version."""

VERSION = 1


def fields() -> dict[str, str]:
    return {"x-version": str(VERSION)}
