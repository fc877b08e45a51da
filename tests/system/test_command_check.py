"""``hornbeamd check`` as a process: exit codes, and the streams it writes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONF = Path(__file__).parents[2] / "conf"
COMMAND = [sys.executable, "-m", "hornbeamd"]


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HORNBEAM_")}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False, env=clean | environment
    )


@pytest.mark.parametrize("name", ["sys.toml", "sys.yaml", "sys.config", "minimal.toml"])
def test_samples_are_good(name):
    ended = run("check", "-c", str(CONF / name))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("the configuration is good: myapp:application (wsgi) at ")


def test_a_configuration_with_errors_ends_with_78_and_every_error(tmp_path):
    file = tmp_path / "sys.yaml"
    file.write_text("hornbeam:\n  app: m:app\n  worker: 2\n  timeout: soon\n")
    ended = run("check", "-c", str(file), HORNBEAM_THREADS="many")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert [line.partition(";")[0] for line in ended.stderr.splitlines()] == [
        f"hornbeamd: file {file}, line 3: worker: unknown option",
        f'hornbeamd: file {file}, line 4: timeout: got "soon"',
        'hornbeamd: environment HORNBEAM_THREADS: threads: got "many"',
    ]


def test_a_run_with_errors_ends_with_78_as_well(tmp_path):
    assert run("m:app", "--workers", "0").returncode == 78


def test_a_wrong_command_line_ends_with_64():
    assert run().returncode == 64
    assert run("check", "--nonsense").returncode == 64


def test_version():
    ended = run("--version")
    assert ended.returncode == 0
    assert ended.stdout.split()[0] == "hornbeamd"


def test_a_reader_that_goes_away_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [*COMMAND, "check", "m:app"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_generated_files_are_current():
    script = Path(__file__).parents[2] / "scripts/render"
    ended = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
