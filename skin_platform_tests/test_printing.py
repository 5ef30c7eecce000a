"""Promises of what commands print: whole lines in a pipe, as wide as the terminal on one."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import skin_platform
from skin_platform import cli

WIDE = ("from rich.table import Table; from skin_platform.printing import printer; table = Table('name', 'why');"
        "table.add_row('n' * 50, 'w' * 90); printer().print(table)")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("SKIN_HOME", "DAGSTER_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def test_a_row_of_a_table_is_one_line_in_a_pipe(home):
    names = [f"Zentrum {number} " + "x" * 40 for number in range(3)]
    for name in names:
        CliRunner().invoke(cli.app, ["keys", "add", name, "--scope", "predict", "--scope", "feedback"])
    lines = CliRunner().invoke(cli.app, ["keys", "list"]).stdout.splitlines()
    for name in names:
        [line] = [line for line in lines if name in line]
        assert "predict, feedback" in line


def test_a_terminal_gets_lines_of_its_width():
    reader, writer = pty.openpty()
    subprocess.run([sys.executable, "-c", WIDE], stdout=writer, check=True, env={**os.environ, "COLUMNS": "70"})
    os.close(writer)
    told = re.sub(r"\x1b\[[0-9;]*m", "", os.read(reader, 65536).decode())
    os.close(reader)
    assert max(len(line) for line in told.splitlines()) == 70


def test_commands_print_tables_in_one_way():
    """A console made elsewhere would wrap at 80 columns in a pipe, unless it is told not to."""
    package = Path(skin_platform.__file__).parent
    for path in (*(package / "commands").glob("*.py"), package / "cli.py"):
        for made in re.findall(r"(?<![\w.])Console\((.*?)\)", path.read_text(encoding="utf-8")):
            assert "soft_wrap=True" in made or "stderr=is_fault" in made, f"{path.name}: use printer() for Console({made})"
