-- Limits of queues, and of all queues below a level of names.

-- +goose Up
ALTER TABLE "job_queues"
    ADD COLUMN max_running integer CHECK (max_running >= 1),
    ADD COLUMN rate        integer CHECK (rate >= 1),
    ADD COLUMN rate_ms     bigint  CHECK (rate_ms >= 1),
    ADD COLUMN burst       integer CHECK (burst >= 1);

COMMENT ON COLUMN "job_queues".max_running IS 'How many jobs may run at once: of the queue and all below it, or of each queue if the name ends in /*; NULL for any number';
COMMENT ON COLUMN "job_queues".rate IS 'How many jobs may begin in rate_ms; NULL for any number';
COMMENT ON COLUMN "job_queues".rate_ms IS 'The time of rate in milliseconds; NULL if there is no rate';
COMMENT ON COLUMN "job_queues".burst IS 'How many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1';

CREATE TABLE "job_permits" (
    queue text   COLLATE "C" PRIMARY KEY,
    tat   bigint NOT NULL
);

COMMENT ON TABLE "job_permits" IS 'One row for each queue with a limit, locked by the exchange that reserves from it. Rows can be deleted at any time';
COMMENT ON COLUMN "job_permits".queue IS 'The queue''s name, or that of its level';
COMMENT ON COLUMN "job_permits".tat IS 'Up to when what has begun is paid for, by the rate: microseconds since 1970';

CREATE INDEX "jobs_running" ON "jobs" (queue) WHERE reserved AND strpos(queue, '/') > 0;

-- Older workers would run more than the limits allow.
INSERT INTO "job_schema" (compatible_from) VALUES (2);

-- +goose Down
DELETE FROM "job_schema" WHERE compatible_from = 2;
DROP INDEX "jobs_running";
DROP TABLE "job_permits";
ALTER TABLE "job_queues" DROP COLUMN max_running, DROP COLUMN rate, DROP COLUMN rate_ms, DROP COLUMN burst;
