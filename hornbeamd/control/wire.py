"""What goes over the control socket, as lines of JSON (jsonlines.py).

    client   {"command": "reload", "arguments": {"every": false}}
    daemon   {"progress": {...}}                                       of some commands, any number
    daemon   {"answer": {...}}                                         or
    daemon   {"error": "there is no worker 7", "code": 1}              with the exit code that it comes to

A client may ask again on the same connection, after the answer. One that says nothing that makes sense is told so, and
its connection closed.
"""

LONGEST_QUESTION = 64 * 1024
