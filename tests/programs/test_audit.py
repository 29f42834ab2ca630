"""What the audit of packages says."""

from typing import Any

from tests.audit import report


def test_vulnerable_package_is_named_with_its_fix() -> None:
    packages: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]},
        {"name": "b", "version": "2", "vulns": []},
    ]
    assert report(packages) == (["a 1: PYSEC-1, fixed in 1.1", "audit: 2 packages looked up"], True)


def test_package_that_is_not_looked_up_is_no_package_without_vulnerabilities() -> None:
    lines, vulnerable = report([{"name": "a", "version": "1", "skip_reason": "not found"}])
    assert (lines[0], "1 packages COULD NOT" in lines[1], vulnerable) == ("audit: 0 packages looked up", True, False)
