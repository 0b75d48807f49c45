"""A relay in front of a registry that counts what comes from it, and holds it up where it is told to."""

import contextlib
import socket
import threading
from collections.abc import Iterator

_PIECE = 1 << 16


class Relay:
    """`count` bytes have come from the registry. From `hold_at` on nothing more comes: `held` is set."""

    def __init__(self, registry: str) -> None:
        host, _, port = registry.rpartition(":")
        self._registry = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.hold_at = 0  # 0: never
        self.held = threading.Event()
        self.count = 0

    def restart(self, hold_at: int = 0) -> None:
        """Counts anew; nothing of before is held any longer."""
        self.close_connections()
        self.count, self.hold_at = 0, hold_at
        self.held = threading.Event()

    def serve(self) -> None:
        """Takes connections until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                registry = socket.create_connection(self._registry)
                with self._lock:
                    self._open |= {client, registry}
                for work, pair in ((self._forth, (client, registry)), (self._back, (registry, client))):
                    threading.Thread(target=work, args=pair, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()

    def close_connections(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _forth(self, client: socket.socket, registry: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(_PIECE):
                registry.sendall(piece)
            registry.shutdown(socket.SHUT_WR)

    def _back(self, registry: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := registry.recv(_PIECE):
                if self._is_held(len(piece)):
                    return
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)

    def _is_held(self, size: int) -> bool:
        with self._lock:
            if self.hold_at and self.count + size > self.hold_at:
                self.held.set()
                return True
            self.count += size
            return False


@contextlib.contextmanager
def before(registry: str) -> Iterator[Relay]:
    """Runs a relay to a registry (host:port)."""
    relay = Relay(registry)
    thread = threading.Thread(target=relay.serve)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join()
