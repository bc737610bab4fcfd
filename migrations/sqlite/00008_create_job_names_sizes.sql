-- Names of tables and indexes stand in double quotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
-- What workers have counted by the names of handlers; the sums matter. Rows are inserted, and merged into fewer as they get older.
CREATE TABLE "job_names" (
    id       INTEGER PRIMARY KEY,         -- rows are never changed
    step     INTEGER NOT NULL DEFAULT 0,  -- of how many minutes it is the sum: 1, 10 or 60; 0 for a row of one minute that is not merged yet
    minute   INTEGER NOT NULL,            -- the start of these minutes
    queue    TEXT    NOT NULL,            -- the first level of the queues: mail for mail/42; empty with an empty name
    name     TEXT    NOT NULL,            -- the beginning of the handler's name; empty for all others, because there were too many
    done     INTEGER NOT NULL DEFAULT 0,  -- jobs that ended well, or were discarded
    failed   INTEGER NOT NULL DEFAULT 0,  -- jobs that failed for good
    released INTEGER NOT NULL DEFAULT 0,  -- runs that ended with an error or a release, and whose jobs run again
    run      TEXT    NOT NULL DEFAULT '', -- histogram of how long handlers ran
    wait     TEXT    NOT NULL DEFAULT '', -- histogram of how long jobs were due before their handler started
    CHECK (typeof(step) = 'integer' AND typeof(minute) = 'integer' AND typeof(queue) = 'text' AND typeof(name) = 'text'),
    CHECK (typeof(done) = 'integer' AND typeof(failed) = 'integer' AND typeof(released) = 'integer'),
    CHECK (typeof(run) = 'text' AND typeof(wait) = 'text')
);

CREATE INDEX "job_names_step" ON "job_names" (step, minute);

-- What the queues held, once a minute, and of older hours the greatest.
CREATE TABLE "job_sizes" (
    step      INTEGER NOT NULL,  -- of how many minutes these are the greatest: 1 or 60
    minute    INTEGER NOT NULL,  -- the start of these minutes
    queue     TEXT    NOT NULL,  -- the first level of the queues: mail for mail and mail/42; empty for all queues
    ready     INTEGER NOT NULL,  -- jobs that are due and wait; 10,000 for a queue stands for so many or more, as in the other columns
    not_due   INTEGER NOT NULL,  -- jobs that are not due yet
    reserved  INTEGER NOT NULL,  -- jobs that workers have
    failed    INTEGER NOT NULL,  -- failed jobs
    oldest_ms INTEGER NOT NULL,  -- for how many milliseconds the oldest ready job has been due
    PRIMARY KEY (step, minute, queue),
    CHECK (typeof(step) = 'integer' AND typeof(minute) = 'integer' AND typeof(queue) = 'text' AND typeof(oldest_ms) = 'integer'),
    CHECK (typeof(ready) = 'integer' AND typeof(not_due) = 'integer' AND typeof(reserved) = 'integer' AND typeof(failed) = 'integer')
) WITHOUT ROWID;

-- One row, so that one worker each minute measures the queues and merges counts.
CREATE TABLE "job_upkeep" (
    queue   TEXT    NOT NULL PRIMARY KEY,  -- empty
    minute  INTEGER NOT NULL,              -- the last minute in which a worker has done it
    counted INTEGER NOT NULL,              -- up to which id the rows of job_counts are merged
    CHECK (typeof(queue) = 'text' AND typeof(minute) = 'integer' AND typeof(counted) = 'integer')
);

-- +goose Down
DROP TABLE "job_names";
DROP TABLE "job_sizes";
DROP TABLE "job_upkeep";
