-- +goose Up
-- Jobs that are pushed again and again. An INSERT of name, cron or every, and payload is a valid schedule.
CREATE TABLE "job_schedules" (
    name        TEXT    NOT NULL PRIMARY KEY,       -- what people call it
    cron        TEXT    NOT NULL DEFAULT '',        -- minute, hour, day, month and weekday, such as 30 2 * * *; empty if every is given
    every       TEXT    NOT NULL DEFAULT '',        -- an interval, such as 10 minutes or 2 weeks on mon at 02:30; empty if cron is given
    zone        TEXT    NOT NULL DEFAULT 'UTC',     -- the time zone of its clock, such as Asia/Shanghai
    queue       TEXT    NOT NULL DEFAULT 'default', -- the queue of its jobs
    priority    INTEGER NOT NULL DEFAULT 0,         -- theirs, as in jobs
    payload     TEXT    NOT NULL,                   -- theirs, as in jobs
    missed      TEXT    NOT NULL DEFAULT 'one',     -- of times that no worker was there for: skip, one (the newest is made up for), or all
    catch_up_ms INTEGER NOT NULL DEFAULT 86400000,  -- how late one may be that is made up for, in milliseconds
    overlap     TEXT    NOT NULL DEFAULT 'allow',   -- skip: no job is pushed while the one before is not done
    paused      INTEGER NOT NULL DEFAULT 0,         -- whether it pushes nothing
    origin      TEXT    NOT NULL DEFAULT '',        -- who has set it: code for a program, which sets it again when it starts
    next_at     INTEGER,                            -- when it comes next; NULL: a worker finds out
    last_at     INTEGER,                            -- the time for which it came last
    last_job_id INTEGER NOT NULL DEFAULT 0,         -- the id of the job that was pushed then
    runs        INTEGER NOT NULL DEFAULT 0,         -- how many jobs it has pushed
    created_at  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)), -- intervals count from here
    updated_at  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)), -- when it was changed last
    CHECK (length(name) BETWEEN 1 AND 191 AND typeof(name) = 'text'),
    CHECK ((cron = '') <> (every = '')),
    CHECK (typeof(cron) = 'text' AND typeof(every) = 'text' AND typeof(zone) = 'text' AND typeof(origin) = 'text'),
    CHECK (length(queue) BETWEEN 1 AND 191 AND queue = trim(queue) AND instr(queue, ',') = 0 AND typeof(queue) = 'text'),
    CHECK (typeof(priority) = 'integer' AND priority BETWEEN -32768 AND 32767),
    CHECK (json_valid(payload) AND typeof(payload) = 'text'),
    CHECK (missed IN ('skip', 'one', 'all') AND overlap IN ('allow', 'skip') AND paused IN (0, 1)),
    CHECK (typeof(catch_up_ms) = 'integer' AND catch_up_ms >= 0),
    CHECK (typeof(next_at) IN ('integer', 'null') AND typeof(last_at) IN ('integer', 'null')),
    CHECK (typeof(last_job_id) = 'integer' AND typeof(runs) = 'integer'),
    CHECK (typeof(created_at) = 'integer' AND typeof(updated_at) = 'integer')
);

CREATE INDEX "job_schedules_next" ON "job_schedules" (next_at);

-- +goose Down
DROP TABLE "job_schedules";
