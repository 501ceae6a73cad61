"""Say how many tests ran; fail where one was skipped that could have run here."""

import re
import sys
import xml.etree.ElementTree as ET

# The only reasons for which a test may be skipped at the gate.
ALLOWED = (
    r"recording.* not (on|at) this machine",
    r"only on Windows",
)

root = ET.parse(sys.argv[1]).getroot()
suites = [root] if root.tag == "testsuite" else list(root)
total = {
    key: sum(int(s.get(key, 0)) for s in suites)
    for key in ("tests", "failures", "errors", "skipped")
}
skips = [
    (f"{case.get('classname')}::{case.get('name')}", skip.get("message") or "")
    for suite in suites
    for case in suite.iter("testcase")
    for skip in case.iter("skipped")
]
wrong = [
    (name, why)
    for name, why in skips
    if "browser" in name or "postgres" in name or not any(re.search(p, why) for p in ALLOWED)
]
for name, why in skips:
    print(f"skipped: {name}: {why}")
browser = sum("browser" in (c.get("classname") or "") for s in suites for c in s.iter("testcase"))
print(f"{browser} browser tests ran")
postgres = sum(
    "postgres" in f"{c.get('classname')}{c.get('name')}" for s in suites for c in s.iter("testcase")
)
print(f"{postgres} tests ran on PostgreSQL")
failed = total["failures"] + total["errors"]
passed = total["tests"] - failed - total["skipped"]
print(f"{passed} passed, {failed} failed, {total['skipped']} skipped")
if wrong:
    print("These may not be skipped here:", *(f"  {n}: {w}" for n, w in wrong), sep="\n")
    sys.exit(1)
sys.exit(1 if failed or not browser or not postgres or not passed else 0)
