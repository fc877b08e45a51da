"""The command: what it runs, what it says, and its exit codes."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

from hornbeamd import cli
from hornbeamd.config.options import TABLE


@pytest.fixture
def boot(monkeypatch):
    """Stand in for the supervisor; gives what it was called with."""
    module = ModuleType("hornbeamd.supervisor.boot")
    calls = []
    module.commands = []

    def run(loaded, reload, command):
        calls.append((loaded, reload))
        module.commands.append(command)
        return 7

    module.run = run
    monkeypatch.setitem(sys.modules, "hornbeamd.supervisor.boot", module)
    for name in [name for name in os.environ if name.startswith("HORNBEAM_")]:
        monkeypatch.delenv(name)
    return calls


def test_an_application_with_flags_is_run(boot):
    assert cli.main(["m:app", "--bind", ":80", "--bind", ":81", "--preload-app", "--timeout=5s"]) == 7
    ((loaded, _),) = boot
    assert loaded.options.app == "m:app"
    assert [str(address) for address in loaded.options.bind] == [":80", ":81"]
    assert (loaded.options.preload_app, loaded.options.timeout) == (True, 5.0)
    assert loaded.options.pythonpath == (os.getcwd(),)


def test_every_option_is_a_flag(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert [option.flag for option in TABLE if option.flag not in said] == []


def test_reload_reads_the_file_again_with_the_same_flags(boot, tmp_path):
    file = tmp_path / "sys.toml"
    file.write_text("[hornbeam]\napp = 'm'\nworkers = 2\n")
    assert cli.main(["-c", str(file), "--threads", "9"]) == 7
    file.write_text("[hornbeam]\napp = 'm'\nworkers = 3\n")
    ((loaded, reload),) = boot
    assert (loaded.options.workers, reload().options.workers, reload().options.threads) == (2, 3, 9)


def test_reload_is_for_development_unless_flags_say_otherwise(boot):
    assert cli.main(["m:app", "--reload"]) == 7
    assert cli.main(["m:app", "--reload", "--no-reload-development", "--workers", "2"]) == 7
    (first, _), (second, _) = boot
    assert (first.options.reload.watch, first.options.reload.development, first.options.workers) == (True, True, 1)
    assert (second.options.reload.watch, second.options.reload.development, second.options.workers) == (True, False, 2)


def test_an_application_in_the_environment_is_enough(boot, monkeypatch):
    monkeypatch.setenv("HORNBEAM_APP", "m:app")
    assert cli.main([]) == 7


def test_check_says_what_would_run_and_where_values_come_from(boot, tmp_path, capsys, monkeypatch):
    file = tmp_path / "sys.toml"
    file.write_text("[hornbeam]\napp = 'm:app'\n")
    monkeypatch.setenv("HORNBEAM_WORKERS", "1")
    assert cli.main(["check", "-c", str(file), "--timeout", "2s"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "the configuration is good: m:app (wsgi) at 127.0.0.1:8000, 1 worker",
        f'  app = "m:app"    (file {file}, line 2)',
        "  workers = 1    (environment HORNBEAM_WORKERS)",
        "  timeout = 2000    (flag --timeout)",
    ]
    assert boot == []


def test_check_names_pools(boot, capsys):
    pools = '{"models": {"handler": "m:Model", "processes": 3}, "small": {"handler": "m:Small"}}'
    assert cli.main(["check", "m:app", "--workers", "2", "--pools", pools]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(", 2 workers, pool models of 3, pool small of 1")


@pytest.mark.parametrize("arguments", [["check", "-c", "FILE"], ["-c", "FILE", "check"], ["-c", "FILE"]])
def test_problems_go_to_standard_error_one_a_line(boot, tmp_path, capsys, arguments):
    file = tmp_path / "sys.toml"
    file.write_text("[hornbeam]\napp = 'm:app'\nworker = 1\nworkers = 0\n")
    assert cli.main([str(file) if argument == "FILE" else argument for argument in arguments]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f'hornbeamd: file {file}, line 3: worker: unknown option; did you mean "workers"?',
        f"hornbeamd: file {file}, line 4: workers: got 0: it is out of range; expected a whole number from 1 to 1024",
    ]
    assert boot == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to run"),
        (["check"], "there is nothing to run"),
        (["--workers", "2"], "there is nothing to run"),
        (["m", "--wrokers", "2"], 'there is no flag --wrokers; did you mean "--workers"?'),
        (["m", "n"], '"n" is one argument too many'),
        (["m", "--workers"], "--workers"),
        (["-c"], "-c"),
        (["m", "--preload-app=yes"], "--preload-app"),
    ],
)
def test_a_wrong_command_line_is_told(boot, capsys, arguments, said):
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 64
    error = capsys.readouterr().err
    assert said in error
    assert all(line.startswith("hornbeamd: ") for line in error.splitlines())
    assert boot == []


def test_only_what_the_process_was_started_with_can_be_started_again(boot, monkeypatch):
    cli.main(["m:app"])
    monkeypatch.setattr(sys, "argv", ["hornbeamd", "m:app"])
    cli.main()
    by_hand, as_command = sys.modules["hornbeamd.supervisor.boot"].commands
    assert by_hand is None
    assert as_command.arguments[0] == sys.executable


def test_without_arguments_an_example_is_shown(boot, capsys):
    cli.main([])
    assert "hornbeamd myapp:application --bind :8000" in capsys.readouterr().err


def test_a_working_folder_that_was_removed_is_told(boot, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["m:app"]) == 1
    assert capsys.readouterr().err.startswith("hornbeamd: the working folder has been removed")
    assert boot == []


def test_an_interrupt_ends_quietly(boot, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["hornbeamd.supervisor.boot"], "run", interrupted)
    assert cli.main(["m"]) == 130
    assert capsys.readouterr().err == ""


def loaded_after(code):
    """The modules that a fresh Python has after *code*. Measuring coverage would load more, so it stays out."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=env)
    return set(said.stdout.split())


def test_a_check_loads_neither_supervisor_nor_parsers_it_does_not_need():
    loaded = loaded_after("import hornbeamd.cli; hornbeamd.cli.main(['check', 'm'])")
    assert "hornbeamd.cli" in loaded
    assert not {"anyio", "asyncio", "yaml", "tomli", "hornbeamd.supervisor"} & loaded


def test_what_workers_import_of_the_configuration_is_light():
    loaded = loaded_after("import hornbeamd.config.options")
    assert "hornbeamd.config.options" in loaded
    assert not {"yaml", "tomli", "argparse", "difflib", "json"} & loaded
