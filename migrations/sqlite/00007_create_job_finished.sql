-- Finished jobs with their results, how far running jobs are, and cancelled jobs. All of it may be there while older programs work.

-- +goose Up
-- How long jobs are kept when they are done, in milliseconds; 0 for not at all, NULL for what is said about the level or all queues.
ALTER TABLE "job_queues" ADD COLUMN keep_ms INTEGER CHECK (keep_ms >= 0 AND typeof(keep_ms) IN ('integer', 'null'));

-- Jobs that are done and that are kept for some time. Rows are inserted and never changed.
CREATE TABLE "job_finished" (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the job that finished last has the greatest
    job_id      INTEGER NOT NULL,                   -- the id that the job had in jobs
    queue       TEXT    NOT NULL,                   -- as it was in jobs
    name        TEXT    NOT NULL,                   -- the beginning of the handler's name
    priority    INTEGER NOT NULL,                   -- as it was in jobs
    payload     TEXT    NOT NULL,                   -- as it was in jobs
    attempts    INTEGER NOT NULL,                   -- how often the job had been reserved when it was done
    outcome     TEXT    NOT NULL,                   -- done, or discarded if its handler said so
    result      TEXT,                               -- what its handler returned, as JSON; NULL for nothing
    worker      TEXT    NOT NULL,                   -- the name of the worker
    created_at  INTEGER NOT NULL,                   -- when the job was pushed
    started_at  INTEGER NOT NULL,                   -- when its last run began
    finished_at INTEGER NOT NULL,                   -- when it was done
    keep_until  INTEGER NOT NULL,                   -- when the row may be deleted
    CHECK (typeof(job_id) = 'integer' AND typeof(priority) = 'integer' AND typeof(attempts) = 'integer'),
    CHECK (typeof(queue) = 'text' AND typeof(name) = 'text' AND typeof(outcome) = 'text' AND typeof(worker) = 'text'),
    CHECK (typeof(payload) IN ('text', 'blob') AND typeof(result) IN ('text', 'null')),
    CHECK (typeof(created_at) = 'integer' AND typeof(started_at) = 'integer'),
    CHECK (typeof(finished_at) = 'integer' AND typeof(keep_until) = 'integer')
);

CREATE INDEX "job_finished_job" ON "job_finished" (job_id);
CREATE INDEX "job_finished_queue" ON "job_finished" (queue, id);
CREATE INDEX "job_finished_name" ON "job_finished" (name, id);
CREATE INDEX "job_finished_until" ON "job_finished" (keep_until);

-- How far running jobs are, as their handlers said. Rows can be deleted at any time.
CREATE TABLE "job_progress" (
    job_id   INTEGER PRIMARY KEY,  -- the id of the job in jobs
    fraction REAL    NOT NULL,     -- from 0 to 1
    text     TEXT    NOT NULL,     -- what the handler does now; may be empty
    at       INTEGER NOT NULL,     -- when it was written; from before the job's reservation it is of an earlier run
    CHECK (typeof(fraction) = 'real' AND typeof(text) = 'text' AND typeof(at) = 'integer')
);

CREATE INDEX "job_progress_at" ON "job_progress" (at);

-- Jobs that operators have cancelled, for some days, so that they can be put back.
CREATE TABLE "job_cancelled" (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which they were cancelled
    undo_key     TEXT    NOT NULL,                   -- the same for all that were cancelled together
    job_id       INTEGER NOT NULL,                   -- the id that the job had in jobs
    queue        TEXT    NOT NULL,                   -- as it was in jobs, as what follows
    priority     INTEGER NOT NULL,
    payload      TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    exceptions   INTEGER NOT NULL,
    available_at INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    unique_key   TEXT,                               -- free for other jobs while this one is cancelled
    unique_until INTEGER NOT NULL,
    cancelled_at INTEGER NOT NULL,                   -- when it was cancelled
    CHECK (typeof(undo_key) = 'text' AND typeof(queue) = 'text' AND typeof(payload) IN ('text', 'blob')),
    CHECK (typeof(unique_key) IN ('text', 'null') AND typeof(unique_until) = 'integer' AND typeof(job_id) = 'integer'),
    CHECK (typeof(priority) = 'integer' AND typeof(attempts) = 'integer' AND typeof(exceptions) = 'integer'),
    CHECK (typeof(available_at) = 'integer' AND typeof(created_at) = 'integer' AND typeof(cancelled_at) = 'integer')
);

CREATE INDEX "job_cancelled_undo" ON "job_cancelled" (undo_key, id);
CREATE INDEX "job_cancelled_at" ON "job_cancelled" (cancelled_at);

-- +goose Down
ALTER TABLE "job_queues" DROP COLUMN keep_ms;
DROP TABLE "job_finished";
DROP TABLE "job_progress";
DROP TABLE "job_cancelled";
