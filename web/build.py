"""Builds the page into the package, and tells whether what lies there was built from what lies here.

    python web/build.py            builds where it is stale (needs Node 20.19 or later)
    python web/build.py --check    only says whether it is, by its exit status

The built page is committed, so that nobody needs Node to install seglens. Its BUILD.json holds the digest of the
sources that it was made from.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).parent
STATIC = WEB.parent / "src" / "seglens" / "app" / "_static"
RECORD = STATIC / "BUILD.json"

SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "svelte.config.js", "vite.config.ts")
FOLDERS = ("public", "src")


def digest() -> str:
    """SHA-256 over the names and bytes of everything that the page is built from, in order of names."""
    files = [WEB / name for name in SOURCES]
    files += [path for folder in FOLDERS for path in (WEB / folder).rglob("*") if path.is_file()]
    total = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.relative_to(WEB).as_posix()):
        # Of text checked out with other ends of lines, the same.
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{path.relative_to(WEB).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def built() -> str | None:
    """The digest of the sources that the page in the package was built from; None where there is no page."""
    try:
        return json.loads(RECORD.read_text(encoding="utf-8"))["sources"]
    except (OSError, ValueError, KeyError):
        return None


def npm() -> str | None:
    """Where npm is; None where it is not, or where there is no Node for it."""
    return shutil.which("npm") if shutil.which("node") else None


def build() -> None:
    """Install what package-lock.json names, check types, build, and record from what."""
    program = npm()
    if program is None:
        raise SystemExit("Building the page needs Node 20.19 or later, with npm.")
    for arguments in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "check"], ["run", "build"]):
        subprocess.run([program, *arguments], cwd=WEB, check=True)
    RECORD.write_text(json.dumps({"sources": digest()}, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Build where it is stale, or say whether it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="build nothing; status 1 where the page is stale")
    parser.add_argument("--force", action="store_true", help="build even what is not stale")
    given = parser.parse_args()
    stale = built() != digest()
    if given.check:
        if stale:
            sys.exit("The built page is not what web/ would give: python web/build.py")
    elif stale or given.force:
        build()


if __name__ == "__main__":
    main()
