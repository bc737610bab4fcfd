-- Names of tables and indexes stand in double quotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
-- Of the worker's program; empty if that is not known.
ALTER TABLE "job_workers" ADD COLUMN version TEXT NOT NULL DEFAULT '' CHECK (typeof(version) = 'text');
-- running, paused or stopping; empty for a worker of an older program.
ALTER TABLE "job_workers" ADD COLUMN status TEXT NOT NULL DEFAULT '' CHECK (typeof(status) = 'text');
-- How many handlers it runs.
ALTER TABLE "job_workers" ADD COLUMN busy INTEGER NOT NULL DEFAULT 0 CHECK (typeof(busy) = 'integer');
-- How many bytes its process has in use; 0 if that is not known.
ALTER TABLE "job_workers" ADD COLUMN memory INTEGER NOT NULL DEFAULT 0 CHECK (typeof(memory) = 'integer');
-- The oldest handlers that it runs, as a JSON array of at most 4 KB; empty for none.
ALTER TABLE "job_workers" ADD COLUMN running TEXT NOT NULL DEFAULT '' CHECK (typeof(running) = 'text');

-- Runs of the last days that went wrong, whatever became of their jobs. Rows are inserted and never changed.
CREATE TABLE "job_errors" (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- the newest has the greatest
    job_id  INTEGER NOT NULL,                   -- the id of the job in jobs
    queue   TEXT    NOT NULL,                   -- as it was in jobs
    name    TEXT    NOT NULL,                   -- the beginning of the handler's name
    attempt INTEGER NOT NULL,                   -- which try it was, from 1
    outcome TEXT    NOT NULL,                   -- what became of the job: released, failed, discarded, kept, or lost for a reservation that was lost
    error   TEXT    NOT NULL,                   -- the beginning of the error
    stack   TEXT    NOT NULL,                   -- the beginning of the stack, if one is known; otherwise empty
    worker  TEXT    NOT NULL,                   -- the name of the worker
    took_ms INTEGER NOT NULL,                   -- how long the run took, in milliseconds
    at      INTEGER NOT NULL,                   -- when it ended
    CHECK (typeof(job_id) = 'integer' AND typeof(attempt) = 'integer' AND typeof(took_ms) = 'integer' AND typeof(at) = 'integer'),
    CHECK (typeof(queue) = 'text' AND typeof(name) = 'text' AND typeof(outcome) = 'text' AND typeof(worker) = 'text'),
    CHECK (typeof(error) = 'text' AND typeof(stack) = 'text')
);

CREATE INDEX "job_errors_job" ON "job_errors" (job_id, id);
CREATE INDEX "job_errors_at" ON "job_errors" (at);

-- What operators have changed, each written in the transaction of the change.
CREATE TABLE "job_operations" (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- the newest has the greatest
    at       INTEGER NOT NULL,                   -- when
    who      TEXT    NOT NULL,                   -- who, as the program said
    via      TEXT    NOT NULL,                   -- by what: cli for the command line
    action   TEXT    NOT NULL,                   -- such as cancel, retry or pause
    queue    TEXT    NOT NULL,                   -- the queue, if it was about one
    target   TEXT    NOT NULL,                   -- ids, conditions or new values
    affected INTEGER NOT NULL,                   -- how many rows were changed
    note     TEXT    NOT NULL DEFAULT '',        -- why, if that was said
    CHECK (typeof(at) = 'integer' AND typeof(affected) = 'integer'),
    CHECK (typeof(who) = 'text' AND typeof(via) = 'text' AND typeof(action) = 'text' AND typeof(queue) = 'text'),
    CHECK (typeof(target) = 'text' AND typeof(note) = 'text')
);

CREATE INDEX "job_operations_at" ON "job_operations" (at);

-- +goose Down
ALTER TABLE "job_workers" DROP COLUMN version;
ALTER TABLE "job_workers" DROP COLUMN status;
ALTER TABLE "job_workers" DROP COLUMN busy;
ALTER TABLE "job_workers" DROP COLUMN memory;
ALTER TABLE "job_workers" DROP COLUMN running;
DROP TABLE "job_errors";
DROP TABLE "job_operations";
