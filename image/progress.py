"""What a pull or load tells while it works. The base class is silent; those that print are in `cli`."""


class Progress:
    """Told by the main thread, except `blob_moved`, `blob_done` and `layer_moved`, which any may call."""

    def line(self, text: str) -> None:
        """One more step has begun: "Trying to pull ..."."""

    def blob_started(self, digest: str, size: int) -> None:
        """A blob of `size` bytes is being brought."""

    def blob_moved(self, digest: str, there: int) -> None:
        """`there` bytes of it have arrived."""

    def blob_done(self, digest: str, *, skipped: bool = False) -> None:
        """It is stored; `skipped` when it was before."""

    def layer_moved(self, digest: str, there: int) -> None:
        """`there` bytes of the blob of a layer are unpacked."""

    def pause(self) -> None:
        """Nothing moves for a while: draws the last state and gives the terminal back. No thread is left."""

    def warn(self, text: str) -> None:
        """Something is odd, but not an error."""


SILENT = Progress()
