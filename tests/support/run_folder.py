"""Where a long run has its data and logs."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tests.support.servers import MEMORY

PLACE = MEMORY if MEMORY.is_dir() else None  # the discs of small machines are slow


@contextmanager
def run_folder(name: str, console: Console, whole: Callable[[], bool]) -> Generator[Path]:
    """A folder for the block. Unless all is `whole` at its end it stays, and the console says where."""
    path = Path(tempfile.mkdtemp(prefix=f"outrider-{name}-", dir=PLACE))
    try:
        yield path
    except BaseException:
        console.print(f"data and logs: {path}/", markup=False)
        raise
    if whole():
        shutil.rmtree(path)
    else:
        console.print(f"data and logs: {path}/", markup=False)
