"""Push jobs to sqlqueue in your own transaction, and run them in a process that serves many."""

import hashlib
import json
import os
import re
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Union

__all__ = ["push", "serve", "Job", "Release", "Snooze", "Fail", "Discard"]

_FAMILIES = {
    "sqlite3": "sqlite",
    "psycopg": "postgres",
    "psycopg2": "postgres",
    "MySQLdb": "mysql",
    "pymysql": "mysql",
    "mysql": "mysql",
}

# How each database writes a time that is so many microseconds from now.
_LATER = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) + {}",
    "postgres": "clock_timestamp() + {} * interval '1 microsecond'",
    "mysql": "UTC_TIMESTAMP(6) + INTERVAL {} MICROSECOND",
}


def push(
    connection: Any,
    name: str,
    data: Any = None,
    *,
    queue: str = "default",
    priority: int = 0,
    delay: float = 0,
    unique: Optional[str] = None,
    prefix: str = "",
    schema: str = "",
    **settings: Any,
) -> Optional[int]:
    """Push a job in the connection's transaction, which stays open: the job is there when you commit.

    The connection is of sqlite3, psycopg, psycopg2, mysqlclient, PyMySQL or mysql-connector. The delay is in seconds. A smaller
    priority runs first. The prefix and, on PostgreSQL, the schema are those of the tables. Settings are the payload's: tries, timeout,
    backoff, max_exceptions, keep, retry_until, then, catch.

    Returns the job's id, or None if the queue has a job with the unique key already.
    """
    family = _FAMILIES.get(type(connection).__module__.partition(".")[0])
    if family is None:
        raise TypeError(f"sqlqueue does not know connections of {type(connection).__module__}")
    if not re.fullmatch(r"[A-Za-z0-9_]*", prefix):
        raise ValueError(f"a table prefix has letters, digits and underscores: {prefix!r}")
    if schema and family != "postgres":
        raise ValueError("only PostgreSQL has schemas")
    if not re.fullmatch(r"[A-Za-z0-9_]{0,63}", schema):
        raise ValueError(f"a schema has at most 63 letters, digits and underscores: {schema!r}")
    place = "?" if family == "sqlite" else "%s"
    columns = {
        "queue": queue,
        "priority": priority,
        "payload": json.dumps({"job": name, "data": data, **settings}),
        "unique_key": unique,
    }
    places, values = [place] * len(columns), list(columns.values())
    names = list(columns)
    if delay:
        names.append("available_at")
        places.append(_LATER[family].format(place))
        values.append(int(delay * 1_000_000))
    table = f'"{schema}".{prefix}jobs' if schema else f"{prefix}jobs"
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(places)})"
    if unique is not None:
        # With LAST_INSERT_ID the id of a duplicate is 0. Its count of rows is 1 where a connection sets FOUND_ROWS, as Django does.
        statement += " ON DUPLICATE KEY UPDATE id = id + LAST_INSERT_ID(0)" if family == "mysql" else " ON CONFLICT DO NOTHING"
    cursor = connection.cursor()
    try:
        if family != "postgres":
            cursor.execute(statement, values)
            return cursor.lastrowid or None if family == "mysql" or cursor.rowcount == 1 else None
        cursor.execute(statement + " RETURNING id", values)
        row = cursor.fetchone()
        cursor.execute("SELECT pg_notify(%s, %s)", (_channel(schema, prefix), queue))  # wakes the workers at the commit
        return None if row is None else row[0]
    finally:
        cursor.close()


def _channel(schema: str, prefix: str) -> str:
    channel = f"{schema}.{prefix}sqlqueue" if schema else f"{prefix}sqlqueue"
    if len(channel) > 63:  # which is PostgreSQL's limit
        channel = "sqlqueue." + hashlib.sha256(channel.encode()).hexdigest()[:32]
    return channel


@dataclass(frozen=True)
class Job:
    """A job that runs. attempts is 1 for the first run. trace is a W3C traceparent, or None."""

    id: int
    queue: str
    name: str
    attempts: int
    data: Any
    trace: Optional[str] = None


class _Outcome(Exception):
    outcome = ""

    def answer(self) -> dict:
        return {"outcome": self.outcome}


class Release(_Outcome):
    """Raise it to run the job again after delay seconds. Without a delay it waits as after an error."""

    outcome = "release"

    def __init__(self, delay: Optional[float] = None):
        super().__init__(delay)
        self.delay = delay

    def answer(self) -> dict:
        return super().answer() | ({} if self.delay is None else {"delay": self.delay})


class Snooze(Release):
    """Raise it to run the job again after delay seconds. The attempt does not count."""

    outcome = "snooze"

    def __init__(self, delay: float):
        super().__init__(delay)


class Fail(_Outcome):
    """Raise it with a reason to move the job to the failed jobs, whatever tries it has left."""

    outcome = "fail"

    def answer(self) -> dict:
        return super().answer() | {"error": str(self)}


class Discard(_Outcome):
    """Raise it to delete the job without it being done."""

    outcome = "discard"


Handler = Callable[[Job], Any]


def serve(handlers: Union[Handler, Mapping[str, Handler]]) -> None:
    """Run jobs for `sqlqueue work --exec 'python3 worker.py' --reuse`, until the worker wants no more.

    handlers is a function for all jobs, or a function for each name. One that returns has done its job; an exception is the job's
    error. What is printed goes to the worker's log.
    """
    if "SQLQUEUE_REUSE" not in os.environ:
        raise RuntimeError("start this program by: sqlqueue work --exec '…' --reuse")
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # standard output is for answers alone, also in programs that a handler starts
    for line in sys.stdin.buffer:
        job = _job(json.loads(line))
        answers.write(json.dumps({"id": job.id, **_run(handlers, job)}) + "\n")
        answers.flush()


def _job(line: dict) -> Job:
    return Job(line["id"], line["queue"], line["name"], line["attempts"], line["data"], line.get("trace"))


def _run(handlers: Union[Handler, Mapping[str, Handler]], job: Job) -> dict:
    try:
        if callable(handlers):
            handlers(job)
        elif job.name in handlers:
            handlers[job.name](job)
        else:
            return {"outcome": "error", "error": f"no handler for {job.name!r}"}
        return {"outcome": "done"}
    except _Outcome as outcome:
        return outcome.answer()
    except Exception as error:  # what ends the process (SystemExit, KeyboardInterrupt) does
        traceback.print_exc()
        return {"outcome": "error", "error": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        sys.stdout.flush()
