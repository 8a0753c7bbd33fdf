"""Names of pictures -> names of their results in the output, without folder and suffix of its own."""

from __future__ import annotations

import unicodedata

from .. import images

LONGEST = 200  # bytes of a part of a name: file systems take 255, and suffixes are added


def result_name(name: str) -> str:
    """`photos/a` for the picture `photos/a.jpg`: the parts of the name, the last without a picture's suffix.

    Raises:
        ValueError: a name that is no file's, or that leads out of the output.

    Example:
        >>> result_name("./2024/a.JPG"), result_name("scan.0001")
        ('2024/a', 'scan.0001')
        >>> result_name("../a.png")
        Traceback (most recent call last):
        ValueError: a name with .. leads out of the output
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("a name with .. leads out of the output")
    if not parts or not all(letter.isprintable() for letter in name):
        raise ValueError("no name of a file: it is empty, or has letters that cannot be printed")
    if max(len(part.encode("utf-8", "surrogatepass")) for part in parts) > LONGEST:
        raise ValueError(f"no name of a file: a part of it has more than {LONGEST} bytes")
    suffix = next((suffix for suffix in images.READABLE if parts[-1].lower().endswith(suffix)), "")
    stem = parts[-1][: len(parts[-1]) - len(suffix)]
    return "/".join([*parts[:-1], stem or parts[-1]])


def key_of(result: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", result).casefold()
