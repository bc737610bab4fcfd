-- Limits of queues, and of all queues below a level of names.

-- +goose Up
-- How many jobs may run at once: of the queue and all below it, or of each queue if the name ends in /*; NULL for any number.
ALTER TABLE "job_queues" ADD COLUMN max_running INTEGER CHECK (max_running >= 1);
-- How many jobs may begin in rate_ms milliseconds; NULL for any number.
ALTER TABLE "job_queues" ADD COLUMN rate INTEGER CHECK (rate >= 1);
ALTER TABLE "job_queues" ADD COLUMN rate_ms INTEGER CHECK (rate_ms >= 1);
-- How many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1.
ALTER TABLE "job_queues" ADD COLUMN burst INTEGER CHECK (burst >= 1);

-- One row for each queue with a limit. Rows can be deleted at any time.
CREATE TABLE "job_permits" (
    queue TEXT    NOT NULL PRIMARY KEY, -- the queue's name, or that of its level
    tat   INTEGER NOT NULL,             -- up to when what has begun is paid for, by the rate: microseconds since 1970
    CHECK (typeof(queue) = 'text' AND typeof(tat) = 'integer')
);

CREATE INDEX "jobs_running" ON "jobs" (queue) WHERE reserved AND instr(queue, '/') > 0;

-- Older workers would run more than the limits allow.
INSERT INTO "job_schema" (compatible_from) VALUES (2);

-- +goose Down
DELETE FROM "job_schema" WHERE compatible_from = 2;
DROP INDEX "jobs_running";
DROP TABLE "job_permits";
ALTER TABLE "job_queues" DROP COLUMN max_running;
ALTER TABLE "job_queues" DROP COLUMN rate;
ALTER TABLE "job_queues" DROP COLUMN rate_ms;
ALTER TABLE "job_queues" DROP COLUMN burst;
