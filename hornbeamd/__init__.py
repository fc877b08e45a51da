"""hornbeamd: an application server for Python, supervised as Erlang/OTP supervises its programs."""

__version__ = "0.1.0"
