-- Limits of queues, and of all queues below a level of names.

-- +goose Up
-- What operators have said about how many jobs may run. A queue needs no row here.
CREATE TABLE "job_limits" (
    queue       TEXT NOT NULL PRIMARY KEY,         -- a queue, with all below it together; or a name that ends in /*, for each queue below by itself
    max_running INTEGER CHECK (max_running >= 1),  -- how many jobs may run at once; NULL for any number
    rate        INTEGER CHECK (rate >= 1),         -- how many jobs may begin in rate_ms; NULL for any number
    rate_ms     INTEGER CHECK (rate_ms >= 1),      -- the time of rate in milliseconds; NULL if there is no rate
    burst       INTEGER CHECK (burst >= 1),        -- how many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1
    CHECK ((rate IS NULL) = (rate_ms IS NULL)),
    CHECK (typeof(queue) = 'text')
);

-- One row for each queue with a limit. Rows can be deleted at any time.
CREATE TABLE "job_permits" (
    queue TEXT    NOT NULL PRIMARY KEY, -- the queue's name, or that of its level
    tat   INTEGER NOT NULL,             -- up to when what has begun is paid for, by the rate: microseconds since 1970
    CHECK (typeof(queue) = 'text' AND typeof(tat) = 'integer')
);

CREATE INDEX "jobs_running" ON "jobs" (queue) WHERE reserved AND instr(queue, '/') > 0;

-- Older workers would run more than the limits allow.
INSERT INTO "job_schema" (compatible_from) VALUES (4);

-- +goose Down
DELETE FROM "job_schema" WHERE compatible_from = 4;
DROP INDEX "jobs_running";
DROP TABLE "job_permits";
DROP TABLE "job_limits";
