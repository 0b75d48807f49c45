"""The pipes of a container without a terminal."""

import os


class Pipes:
    """Three pipes between the monitor and the container."""

    def __init__(self) -> None:
        self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stdout = os.pipe2(os.O_CLOEXEC)
        self.stderr = os.pipe2(os.O_CLOEXEC)

    def container_ends(self) -> tuple[int, int, int]:
        return self.stdin[0], self.stdout[1], self.stderr[1]

    def close_container_ends(self) -> None:
        for fd in self.container_ends():
            os.close(fd)

    def monitor_ends(self) -> tuple[int, int, int]:
        return self.stdin[1], self.stdout[0], self.stderr[0]
