"""Hooks: who may enter, and what every answer says. A password in a source is for examples only."""

import base64
import binascii
import hmac

PASSWORDS = {"alice": "wonderland", "bob": "builder"}


def on_request(request):
    """Basic authentication (RFC 7617). Applications learn the name in X-User, which nobody else can set."""
    request.headers.remove("X-User")
    if request.mount == "/static":
        return None
    user = authenticated(request.headers.get("Authorization", ""))
    if user is None:
        return 401, {"WWW-Authenticate": 'Basic realm="example"'}, "Who are you?\n"
    request.headers.set("X-User", user)
    return None


def on_response(request, response):
    response.headers.set("X-Content-Type-Options", "nosniff")


def authenticated(authorization):
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    right = hmac.compare_digest(password.encode(), PASSWORDS.get(user, "").encode())
    return user if right and user in PASSWORDS else None
