"""Finds the user's own folders, and recognizes network file systems, on which file locks are not reliable."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

import platformdirs

from .errors import ConfigurationError
from .text import is_utf8, printable

NETWORK = ("nfs", "cifs", "smb", "afs", "afpfs", "ceph", "gfs", "glusterfs", "gpfs", "lustre", "ocfs", "beegfs")
"""Prefixes of file systems on which SQLite's locks do not work between machines (sqlite.org/faq)."""


def user_folder(kind: Literal["data", "state"]) -> Path:
    """The connector's folder in the user's home; it need not exist.

    Raises:
        ConfigurationError: The home folder is not known, as in a container that runs under a number without a name.
    """
    find = platformdirs.user_data_path if kind == "data" else platformdirs.user_state_path
    with suppress(RuntimeError):
        if (path := find("automatum", appauthor=False)).is_absolute():
            return path
    raise ConfigurationError("HOME", "is not the absolute path of a folder.", f"Set it, or XDG_{kind.upper()}_HOME.")


def check_working_folder() -> None:
    """Refuse a working folder that was removed, or that JSON and the state of dlt cannot name.

    Raises:
        ConfigurationError: It is one of these.
    """
    folder, problem = "", "It cannot be used any more"
    with suppress(OSError):
        folder, problem = str(Path.cwd()), "is not UTF-8"
        if is_utf8(folder):
            return
    raise ConfigurationError("working folder", f"{printable(folder)} {problem}.".lstrip(), "Change to another folder.")


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the network file system that holds a path; empty if it is local or the system does not tell.

    Args:
        path: A file or folder; it need not exist.
        mounts: The list of mounts in Linux format (proc_pid_mountinfo(5)).
    """
    try:
        lines = mounts.read_text().splitlines()
        target = path.absolute().resolve()
    except OSError:
        return ""
    kind, longest = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, facts = before.split(), after.split()
        if len(fields) < 5 or not facts:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if (target == point or point in target.parents) and len(point.parts) >= longest:
            kind, longest = facts[0], len(point.parts)
    name = kind.removeprefix("fuse.")
    return kind if name.startswith(NETWORK) or name in ("sshfs", "s3fs", "rclone", "fuse.rclone") else ""
