"""A crontab as cron reads it: settings, and lines of five fields and a command that /bin/sh runs."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "pipelines" / "crontab.example"


@dataclass
class Job:
    """One line.

    Attributes:
        when: Its five fields.
        command: What /bin/sh is given: `\\%` is a percent sign, and nothing follows an unescaped one.
    """

    when: str
    command: str


@dataclass
class Crontab:
    """A file of them.

    Attributes:
        settings: Name to value, taken literally: cron expands nothing.
        jobs: Its lines.
    """

    settings: dict = field(default_factory=dict)
    jobs: list = field(default_factory=list)

    def start(self, job, home, **changes):
        """Start a job as cron does: in `home`, with these variables and no others."""
        bare = {"HOME": str(home), "LOGNAME": "automatum", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        environment = {**bare, **self.settings, **changes}
        return subprocess.Popen(
            [environment["SHELL"], "-c", job.command],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def read_crontab(path=EXAMPLE):
    """Parse it by the rules of crontab(5)."""
    made = Crontab()
    for line in path.read_text().splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        setting = re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", line)
        if setting:
            made.settings[setting[1]] = setting[2].strip("\"'")
            continue
        *when, command = line.split(None, 5)
        assert len(when) == 5, line
        assert not re.search(r"(?<!\\)%", command), f"cron ends the command at a bare %: {line}"
        made.jobs.append(Job(" ".join(when), command.replace("\\%", "%")))
    return made


def due(field_, lowest, highest):
    """The numbers that one field names."""
    found = set()
    for part in field_.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    assert found <= set(range(lowest, highest + 1)), field_
    return found
