"""The server's process: it listens, says where, serves until Ctrl-C. It never imports torch.

`python -m` would run `seglens/__init__.py`, which is the whole library; `start` gives the line that does not.
"""

import asyncio
import os
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path

import uvicorn

from seglens.app.security import Gate, Guard
from seglens.app.server import build
from seglens.app.settings import PORT, Settings

_BACKLOG = 128


def main(text: str) -> None:
    """Serve with settings as `Settings.to_json` wrote them."""
    settings = Settings.from_json(text)
    try:
        listener = listening(settings.host, settings.port)
    except OSError as taken:
        sys.stderr.write(
            f"Error: cannot listen on {settings.host}:{settings.port or PORT}: {taken.strerror or taken}.\n"
            "  Choose another port (--port), or leave it out for a free one.\n"
        )
        raise SystemExit(1) from None
    port = int(listener.getsockname()[1])
    gate = Gate(settings.host, port)
    shown = "127.0.0.1" if settings.host in ("localhost", "127.0.0.1") else settings.host
    shown = socket.gethostname() if shown in ("0.0.0.0", "::") else f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{port}/?token={gate.token}"
    config = uvicorn.Config(
        Guard(build(settings, gate), gate),  # pyright: ignore[reportArgumentType]
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_ping_interval=20,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    # It listens already, so that whoever reads this line is not refused.
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    if settings.browser:
        webbrowser.open(address)
    with listener:
        try:
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
        except KeyboardInterrupt:
            return


def listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens; without a port on the usual one where it is free, else on any. Raises OSError."""
    try:
        return _bound(host, PORT if port is None else port)
    except OSError:
        if port is not None:
            raise
        return _bound(host, 0)


def _bound(host: str, port: int) -> socket.socket:
    plain = host.strip("[]")
    found = socket.getaddrinfo(plain, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(found[0], socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # After a restart the port is free at once; elsewhere this would let two servers share it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def command(settings: Settings) -> list[str]:
    """The command line of the server's process."""
    package = str(Path(__file__).parents[1])
    bare = (
        "import sys, types\n"
        "package = types.ModuleType('seglens')\n"
        f"package.__path__ = [{package!r}]\n"
        "sys.modules['seglens'] = package\n"
        "from seglens.app.process import main\n"
        "main(sys.argv[1])\n"
    )
    return [sys.executable, "-c", bare, settings.to_json()]


def run(settings: Settings) -> int:
    """Become the server's process, so that it alone hears Ctrl-C; where that cannot be, wait for it."""
    words = command(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(words[0], words)
    return subprocess.run(words, check=False).returncode
