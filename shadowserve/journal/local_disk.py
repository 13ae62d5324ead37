"""The check that a directory lies on a local disk, where SQLite's locks can be trusted."""

from __future__ import annotations

from pathlib import Path

from shadowserve.errors import JournalError

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "lustre"}  # fmt: skip


def refuse_network(directory: Path, *, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuse a directory on a network file system, where SQLite's locks cannot be trusted.

    Parameters
    ----------
    directory : Path
    mounts : Path
        The system's table of mounts; what does not exist refuses nothing.

    Raises
    ------
    JournalError
        Naming the file system and what to do.
    """
    kind = _file_system(directory.resolve(), mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise JournalError(
            f"The state directory {directory} lies on a network file system ({kind}), where the "
            "journal is not safe. Give --state-dir a directory on a local disk."
        )


def _file_system(directory: Path, mounts_file: Path) -> str | None:
    """Return the kind of file system a directory lies on; None where the system does not say."""
    try:
        lines = mounts_file.read_text().splitlines()
    except OSError:
        return None
    split = [fields for line in lines if len(fields := line.split()) > 2]
    mounts = {fields[1].replace("\\040", " "): fields[2] for fields in split}
    for place in (directory, *directory.parents):
        if (kind := mounts.get(str(place))) is not None:
            return kind
    return None
