"""What is written for readers is true: links lead somewhere, commands exist, output is what it is shown to be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hornbeamd.config.options import TABLE, Options
from hornbeamd.supervisor.hub import BOOT_TIMEOUT

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if "/." not in str(path.relative_to(ROOT.parent)))
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/sys.toml"))
README = (ROOT / "README.md").read_text()


def blocks(text: str) -> list[str]:
    """The indented blocks of a document, without their indentation."""
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() for block in found]


def hornbeamd(*args, cwd):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hornbeamd", *args]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readme_shows_what_check_says(tmp_path):
    (block,) = [block for block in blocks(README) if "$ hornbeamd check" in block]
    file, check = block.split("\n\n")
    command, _, shown = check.partition("\n")
    (tmp_path / "sys.toml").write_text(file.removeprefix("$ cat sys.toml\n"))
    (tmp_path / "myapp.py").touch()
    result = hornbeamd(*command.split()[2:], cwd=tmp_path)
    assert result.stderr.replace(f"{tmp_path}/", "").strip() == shown
    assert result.returncode == 78


def test_flags_in_documents_exist():
    known = {option.flag for option in TABLE} | {"--version", "--help", "--config", "--slow"}
    for line in README.splitlines():
        if "hornbeamd " in line and line.startswith("    "):
            assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def test_the_commands_of_the_readme_are_there():
    for name in re.findall(r"(?:scripts|\.ci)/[a-z]+", README + (ROOT / "CONTRIBUTING.md").read_text()):
        assert os.access(ROOT / name, os.X_OK), name


def test_the_unit_waits_for_as_long_as_a_start_may_take():
    unit = (ROOT / "packaging/systemd/hornbeamd.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStartSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > BOOT_TIMEOUT + 3 * Options().boot_timeout


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_examples_are_complete(folder):
    assert (folder / "README.md").exists()
    assert f"| `{folder.name}` |" in (ROOT / "examples" / "README.md").read_text()
    result = hornbeamd("check", "-c", str(folder / "sys.toml"), cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_license_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n" in text
    assert "END OF TERMS AND CONDITIONS" in text
