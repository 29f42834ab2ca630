"""Look up the packages of the images among known vulnerabilities, by pip-audit and the data of the package index.

An index that has no such data, as a mirror may not, is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path("requirements/functions.txt")
PIP_AUDIT = "pip-audit==2.10.1"
SECONDS = 300


def report(packages: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Return what to say of pip-audit's findings, and whether one is vulnerable."""
    lines = []
    for package in packages:
        for found in package.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    vulnerable = bool(lines)
    unknown = sum("skip_reason" in package for package in packages)
    lines.append(f"audit: {len(packages) - unknown} packages looked up")
    if unknown:
        lines.append(f"audit: {unknown} packages COULD NOT BE LOOKED UP: the package index here has no such data")
    return lines, vulnerable


def main() -> int:
    """Return 1 if a package is vulnerable."""
    command = [str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", PIP_AUDIT, "--format", "json"]
    command += ["--progress-spinner", "off", "--disable-pip", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError, KeyError) as error:
        print(f"audit: COULD NOT RUN ({type(error).__name__})")
        return 0
    lines, vulnerable = report(packages)
    print("\n".join(lines))
    return int(vulnerable)


if __name__ == "__main__":
    sys.exit(main())
