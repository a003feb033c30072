"""Programs of this folder, run by Node with the compiled kit."""

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RUN_S = 120


def printed(kit: Path, program: str, *arguments: str | Path, beside: tuple[str, ...] = ()) -> Any:
    """Return what `program KIT ARGUMENTS` prints, as JSON. It runs next to the kit, whose packages it then finds, and
    next to the other files of this folder that it imports."""
    for name in (program, *beside):
        (kit.parent / name).write_bytes((HERE / name).read_bytes())
    command = ("node", kit.parent / program, kit, *arguments)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
