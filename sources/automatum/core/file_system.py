"""What a path lies on: a network file system has no locks that hold."""

from __future__ import annotations

from pathlib import Path

NETWORK = ("nfs", "cifs", "smb", "afs", "afpfs", "ceph", "gfs", "glusterfs", "gpfs", "lustre", "ocfs", "beegfs")
"""Beginnings of the names of file systems on which SQLite's locks do not hold between machines (sqlite.org/faq)."""


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of network file system that a path lies on; empty if none, or where the system does not tell.

    Args:
        path: A file or folder; need not exist.
        mounts: What is mounted, as Linux tells it (proc_pid_mountinfo(5)).
    """
    try:
        lines = mounts.read_text().splitlines()
        place = path.absolute().resolve()
    except OSError:
        return ""
    kind, longest = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, facts = before.split(), after.split()
        if len(fields) < 5 or not facts:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if (place == point or point in place.parents) and len(point.parts) >= longest:
            kind, longest = facts[0], len(point.parts)
    name = kind.removeprefix("fuse.")
    return kind if name.startswith(NETWORK) or name in ("sshfs", "s3fs", "rclone", "fuse.rclone") else ""
