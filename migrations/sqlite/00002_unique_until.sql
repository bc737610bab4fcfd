-- +goose Up
-- Unique keys that are held for a time, also after their job is done. Workers delete rows whose time has passed.
CREATE TABLE "job_once" (
    id         INTEGER PRIMARY KEY,
    queue      TEXT    NOT NULL,           -- the queue's name
    unique_key TEXT    NOT NULL,           -- at most one row of a queue has a given key
    job_id     INTEGER NOT NULL DEFAULT 0, -- the id that the job has or had in jobs
    held_until INTEGER NOT NULL,           -- when the key is free again, if the job no longer holds it
    CHECK (typeof(queue) = 'text' AND typeof(unique_key) = 'text'),
    CHECK (typeof(job_id) = 'integer' AND typeof(held_until) = 'integer')
);

CREATE UNIQUE INDEX "job_once_key" ON "job_once" (queue, unique_key);
CREATE INDEX "job_once_until" ON "job_once" (held_until);

-- 0: the job keeps its unique_key until it is deleted or has failed; 1: a worker that reserves the job sets the key to NULL.
ALTER TABLE "jobs" ADD COLUMN unique_until INTEGER NOT NULL DEFAULT 0 CHECK (unique_until IN (0, 1));

-- +goose Down
ALTER TABLE "jobs" DROP COLUMN unique_until;
DROP TABLE "job_once";
