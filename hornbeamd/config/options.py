"""The one table of options. To add an option, declare it here, or in the module of its section: name, default,
kind, how a change applies, help.

Times are float seconds in these objects, whatever unit a bare number has in a file; sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from hornbeamd.config.address import Address
from hornbeamd.config.admin import AdminOptions
from hornbeamd.config.amounts import Duration, Int, Mode, Size
from hornbeamd.config.certificates import Certificate
from hornbeamd.config.control import ControlOptions
from hornbeamd.config.declare import Apply, option, rows
from hornbeamd.config.hooks import HookOptions
from hornbeamd.config.hub import HubOptions
from hornbeamd.config.kinds import (
    Bind,
    Bool,
    Choice,
    ListOf,
    Maybe,
    Path,
    Peers,
    Text,
    app_spec,
    function,
    owner,
    root_path,
)
from hornbeamd.config.log import LogOptions
from hornbeamd.config.mounts import Mount
from hornbeamd.config.named import Named
from hornbeamd.config.pools import PoolOptions, pool_name
from hornbeamd.config.reload import ReloadOptions
from hornbeamd.config.state import StateOptions
from hornbeamd.config.tables import NamedTables, Tables
from hornbeamd.config.websockets import WebSocketTopic

LIVE, WORKERS, RESTART = Apply.LIVE, Apply.WORKERS, Apply.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Section ``hornbeam``: all that can be configured. Neither ``app`` nor ``mounts``: only where built by hand."""

    app: str = option(
        "",
        app_spec(),
        WORKERS,
        """The application: "module:callable"; "module" alone means its "application".
The callable may be an attribute of an object ("module:site.app") or a factory ("module:create()").
With mounts it may be missing; else it serves what no other mount does.""",
    )
    mounts: tuple[Mount, ...] = option(
        (),
        Tables(Mount, by_place=("prefix", "app")),
        WORKERS,
        """Applications and folders of files below paths of their own; of those that fit the longest prefix wins.
Each table is one, with an app or a directory.""",
    )
    bind: tuple[Address, ...] = option(
        (Address(kind="tcp", host="127.0.0.1", port=8000),),
        ListOf(Bind(), needs_one=True),
        WORKERS,
        """Where to listen: an address, or a list of addresses.
"127.0.0.1:8000", "[::1]:8000", ":8000" (all interfaces), "unix:/run/app.sock", or "fd://3" for a socket
inherited from whoever starts the daemon. A host name that does not resolve is an error. Port 0 takes a free
port; the log says which. A reload opens and closes what has changed, and leaves the others alone.""",
    )
    ssl: bool = option(
        False,
        Bool(),
        RESTART,
        """Whether TLS is spoken (https), with the certificate in certfile.
It is then spoken at every address in bind, Unix sockets too. Plain HTTP beside it needs a daemon of its own.""",
    )
    certfile: str | None = option(
        None,
        Maybe(Path("the path of a PEM file")),
        WORKERS,
        """The server's certificate and those between it and its authority, in this order, as PEM.
It is read again at each reload; one that cannot be used refuses it.""",
    )
    keyfile: str | None = option(
        None,
        Maybe(Path("the path of a PEM file")),
        WORKERS,
        """The private key of certfile, as PEM and without a password.
When empty it stands in certfile as well. With user set it may be readable by root alone.""",
    )
    certificates: tuple[Certificate, ...] = option(
        (),
        Tables(Certificate),
        WORKERS,
        """More certificates, for the host names that clients ask for (SNI).
An exact name is stronger than one with "*", which stands for one label. Who asks for none of these names gets
certfile.""",
    )
    cacertfile: str | None = option(
        None,
        Maybe(Path("the path of a PEM file")),
        WORKERS,
        """The authorities whose client certificates are believed, as PEM; verify says whether clients need one.""",
    )
    verify: Literal["none", "optional", "required"] = option(
        "none",
        Choice(("none", "optional", "required")),
        WORKERS,
        """Whether clients are asked for a certificate, and may do without.
One that cacertfile does not vouch for ends the handshake either way. With "none" nobody is asked, and cacertfile
    only completes the chain of the server's own certificate.""",
    )
    worker_class: Literal["wsgi", "asgi"] = option(
        "wsgi",
        Choice(("wsgi", "asgi")),
        WORKERS,
        "The interface of the application: WSGI (Django, Flask) or ASGI (FastAPI, Starlette).",
    )
    workers: int = option(
        4,
        Int(1, 1024),
        LIVE,
        "Worker processes.\nSIGTTIN and SIGTTOU add and remove one in the running daemon.",
    )
    threads: int = option(
        4,
        Int(1, 1024),
        WORKERS,
        "Threads in a worker that run a WSGI application; no meaning for ASGI.",
    )
    timeout: float = option(
        30.0,
        Duration("ms"),
        WORKERS,
        "How long a request may take to begin its answer; after that the client gets 504.",
    )
    keepalive: float = option(
        2.0,
        Duration("s"),
        WORKERS,
        "How long a connection may stay idle between two requests.",
    )
    header_timeout: float = option(
        10.0,
        Duration("ms"),
        WORKERS,
        "How long the head of a request may take to arrive; after that the client gets 408.",
    )
    body_timeout: float = option(
        30.0,
        Duration("ms"),
        WORKERS,
        "The longest silence inside a request body; after that the client gets 408.",
    )
    body_min_rate: int = option(
        240,
        Size(0, 2**30),
        WORKERS,
        """The slowest pace of a request body, in bytes per second; slower ones are cut. 0 turns it off.
The pace is the mean over the body so far, and counts from its fifth second on.""",
    )
    send_timeout: float = option(
        30.0,
        Duration("ms"),
        WORKERS,
        "How long a client may take no byte of an answer that waits for it; then its connection is aborted.",
    )
    websocket_timeout: float = option(
        60.0,
        Duration("ms", low=0.1),
        WORKERS,
        """How long a WebSocket client may be silent; then its connection is closed.
After half of the time it is sent a ping, which every client answers.""",
    )
    websocket_max_frame_size: int = option(
        16777216,
        Size(125, 2**31),
        WORKERS,
        """The largest WebSocket frame, and the largest message of several; above it the connection is closed with 1009.
With compression it is also the size to which a message may inflate.""",
    )
    websocket_compress: bool = option(
        False,
        Bool(),
        WORKERS,
        """Whether WebSocket messages are compressed where the client offers it (permessage-deflate).
Costs up to 300 kB of memory for a connection, and time.""",
    )
    websocket_topics: tuple[WebSocketTopic, ...] = option(
        (),
        Tables(WebSocketTopic, by_place=("path", "topic")),
        WORKERS,
        """Topics that a WebSocket joins by its path when the application accepts it.
What is published there is sent to its client: text as text, bytes as binary, anything else as JSON.""",
    )
    max_requests: int = option(
        0,
        Int(0),
        WORKERS,
        """Replace a worker after so many requests; 0 never does.
The new worker is ready before the old one drains.""",
    )
    max_requests_jitter: int = option(
        0,
        Int(0),
        WORKERS,
        """The largest random number added to max_requests, so that workers are not replaced all at once.""",
    )
    max_concurrent: int = option(
        10000,
        Int(1),
        WORKERS,
        "Requests in hand at once in the whole server; above it clients get 503 with Retry-After.",
    )
    preload_app: bool = option(
        False,
        Bool(),
        WORKERS,
        """Import the application once and fork the workers from it.
Saves memory and start time; what the application opens while it is imported is then shared by all
workers.""",
    )
    max_request_line_size: int = option(
        4094,
        Size(64, 2**20),
        WORKERS,
        "The longest request line, in bytes; above it the client gets 414.",
    )
    max_header_size: int = option(
        8190,
        Size(64, 2**20),
        WORKERS,
        "The longest header field, in bytes; above it the client gets 431.",
    )
    max_headers: int = option(
        100,
        Int(1, 10000),
        WORKERS,
        "The most header fields a request may have; above it the client gets 431.",
    )
    max_body_size: int | None = option(
        None,
        Maybe(Size(0, 2**50), nothing="unlimited"),
        WORKERS,
        """The largest request body; above it the client gets 413.
A number of bytes, a size such as "16MB", or "unlimited".""",
    )
    lifespan: Literal["auto", "on", "off"] = option(
        "auto",
        Choice(("auto", "on", "off")),
        WORKERS,
        """Whether an ASGI application's lifespan events are run: "auto" does, if it knows them.
With "on" an application that does not know them refuses the start. A startup that fails refuses it in any
case.""",
    )
    lifespan_timeout: float = option(
        30.0,
        Duration("ms"),
        WORKERS,
        """How long the application's lifespan startup, and its shutdown, may take.
The shutdown gets no more than the requests in hand have left of graceful_timeout.""",
    )
    root_path: str = option(
        "",
        root_path(),
        WORKERS,
        """The path the application is mounted at: root_path for ASGI, SCRIPT_NAME for WSGI.
For example "/shop"; the proxy in front maps that path to this server.""",
    )
    pythonpath: tuple[str, ...] = option(
        (".",),
        ListOf(Path("the path of a folder")),
        WORKERS,
        """Folders the application's modules are searched in, the first one first.
Relative paths count from the folder of the configuration file; without a file, from the working folder.""",
    )
    venv: str | None = option(
        None,
        Maybe(Path("the path of a virtual environment")),
        WORKERS,
        """The virtual environment that holds the application's packages.
It must be of the Python version that runs the daemon.""",
    )
    graceful_timeout: float = option(
        30.0,
        Duration("s"),
        LIVE,
        "How long requests in hand may go on when a worker or the daemon ends; what is left then is cut.",
    )
    forwarded_allow_from: tuple[str, ...] = option(
        (),
        ListOf(Peers()),
        WORKERS,
        """The proxies whose X-Forwarded-For, -Proto, -Host and -Prefix, or Forwarded, are believed.
Addresses, networks ("10.0.0.0/8"), "unix" for whoever connects to a Unix socket, or "*" for everyone: then
any client can forge its address.""",
    )
    forwarded_headers: tuple[str, ...] = option(
        ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"),
        ListOf(
            Choice(("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded")),
            needs_one=True,
        ),
        WORKERS,
        """The headers that the proxies in forwarded_allow_from set themselves.
One that they only pass on was written by the client: leave it out.""",
    )
    proxy_protocol: tuple[str, ...] = option(
        (),
        ListOf(Peers()),
        WORKERS,
        """The proxies whose connections begin with a header of the PROXY protocol, version 1 or 2.
Addresses, networks, "unix" or "*" as in forwarded_allow_from. A connection of theirs without the header is closed;
from others the header is a malformed request.""",
    )
    backlog: int = option(
        2048,
        Int(1, 65535),
        LIVE,
        "Connections the system may hold until a worker accepts them; the kernel's own limit counts too.",
    )
    unix_socket_mode: int = option(
        0o660,
        Mode(),
        LIVE,
        'Permission bits of the Unix sockets in bind and admin.bind, as octal text: "0660".',
    )
    unix_socket_owner: str | None = option(
        None,
        Maybe(owner()),
        LIVE,
        """Owner of the Unix sockets in bind and admin.bind: "user:group", "user" or ":group".
When empty they belong to the user the daemon runs as.""",
    )
    user: str | None = option(
        None,
        Maybe(Text("the name or number of a user")),
        RESTART,
        """The user that workers run as; only root can change it.
When empty they run as the user the daemon runs as.""",
    )
    group: str | None = option(
        None,
        Maybe(Text("the name or number of a group")),
        WORKERS,
        """The group that workers run as; only root can change it.
When empty it is the group of the user, or the one the daemon runs as.""",
    )
    server_header: bool = option(
        True,
        Bool(),
        WORKERS,
        'Whether answers carry "Server: hornbeamd", where the application sets no Server header of its own.',
    )
    http_version: tuple[str, ...] = option(
        ("HTTP/1.1", "HTTP/2"),
        ListOf(Choice(("HTTP/1.1", "HTTP/2")), needs_one=True),
        WORKERS,
        """The versions of HTTP that are spoken.
With TLS the client chooses among them (ALPN), and who chooses none speaks HTTP/1.1; without TLS, HTTP/2 is spoken with
clients that begin with it ("prior knowledge"), as proxies do, and HTTP/1.1 always.""",
    )
    http2_max_streams: int = option(
        100,
        Int(1, 10000),
        WORKERS,
        "Requests at once on one HTTP/2 connection; more are refused, and the client sends them again later.",
    )
    http2_engine: Literal["native", "h2"] = option(
        "native",
        Choice(("native", "h2")),
        WORKERS,
        'What speaks HTTP/2: "native" is hornbeamd\'s own; "h2" is the library of that name, many times slower.',
    )
    http_parser: Literal["auto", "httptools", "h11"] = option(
        "auto",
        Choice(("auto", "httptools", "h11")),
        WORKERS,
        'The parser of HTTP/1.1: "auto" takes httptools where it is installed, and h11 otherwise.',
    )
    loop: Literal["auto", "uvloop", "asyncio"] = option(
        "auto",
        Choice(("auto", "uvloop", "asyncio")),
        WORKERS,
        'The event loop of the workers: "auto" takes uvloop where it is installed, and asyncio otherwise.',
    )
    heartbeat_timeout: float = option(
        30.0,
        Duration("ms", low=0.1),
        WORKERS,
        """How long a worker may be silent; then it counts as stuck and is replaced.
A worker is silent when its event loop is blocked. The stacks of its threads are logged.""",
    )
    boot_timeout: float = option(
        120.0,
        Duration("ms"),
        LIVE,
        "How long a worker may take to become ready: the import of the application and its startup.",
    )
    restart_intensity: int = option(
        10,
        Int(0, 100000),
        LIVE,
        """How many workers may die within restart_period before the daemon holds back.
While others serve it keeps them and restarts the dead ones more and more slowly; when none serves, it
exits.""",
    )
    restart_period: float = option(
        10.0,
        Duration("s"),
        LIVE,
        "The time in which restart_intensity counts.",
    )
    pidfile: str | None = option(
        None,
        Maybe(Path("the path of a file")),
        RESTART,
        "A file that holds the process number of the daemon while it runs; none when empty.",
    )
    functions: tuple[tuple[str, str], ...] = option(
        (),
        Named(Text("a name"), function()),
        WORKERS,
        """Functions that call() and cast() of hornbeam_erlang find in every worker, by name: "module:function".
Each worker imports them before the application's startup; where one cannot be imported, it does not start.""",
    )
    pools: tuple[PoolOptions, ...] = option(
        (),
        NamedTables(PoolOptions, names=pool_name()),
        WORKERS,
        """Processes of their own for handlers of calls, such as one that holds a model; by name, and called by it.
[hornbeam.pools.embeddings] with handler = "models:Embeddings" serves execute("embeddings", ...) from every worker.""",
    )
    state: StateOptions = field(default_factory=StateOptions, metadata={"section": StateOptions})
    hub: HubOptions = field(default_factory=HubOptions, metadata={"section": HubOptions})
    reload: ReloadOptions = field(default_factory=ReloadOptions, metadata={"section": ReloadOptions})
    hooks: HookOptions = field(default_factory=HookOptions, metadata={"section": HookOptions})
    admin: AdminOptions = field(default_factory=AdminOptions, metadata={"section": AdminOptions})
    control: ControlOptions = field(default_factory=ControlOptions, metadata={"section": ControlOptions})
    log: LogOptions = field(default_factory=LogOptions, metadata={"section": LogOptions})


TABLE = rows(Options)
SECTIONS = {each.name: each.metadata["section"] for each in fields(Options) if "section" in each.metadata}
