-- Limits of queues, and of all queues below a level of names.

-- +goose Up
CREATE TABLE "job_limits" (
    queue       text    COLLATE "C" PRIMARY KEY,
    max_running integer CHECK (max_running >= 1),
    rate        integer CHECK (rate >= 1),
    rate_ms     bigint  CHECK (rate_ms >= 1),
    burst       integer CHECK (burst >= 1),
    CHECK ((rate IS NULL) = (rate_ms IS NULL))
);

COMMENT ON TABLE "job_limits" IS 'What operators have said about how many jobs may run. A queue needs no row here';
COMMENT ON COLUMN "job_limits".queue IS 'A queue, with all below it together; or a name that ends in /*, for each queue below by itself';
COMMENT ON COLUMN "job_limits".max_running IS 'How many jobs may run at once; NULL for any number';
COMMENT ON COLUMN "job_limits".rate IS 'How many jobs may begin in rate_ms; NULL for any number';
COMMENT ON COLUMN "job_limits".rate_ms IS 'The time of rate in milliseconds; NULL if there is no rate';
COMMENT ON COLUMN "job_limits".burst IS 'How many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1';

CREATE TABLE "job_permits" (
    queue text   COLLATE "C" PRIMARY KEY,
    tat   bigint NOT NULL
);

COMMENT ON TABLE "job_permits" IS 'One row for each queue with a limit, locked by the exchange that reserves from it. Rows can be deleted at any time';
COMMENT ON COLUMN "job_permits".queue IS 'The queue''s name, or that of its level';
COMMENT ON COLUMN "job_permits".tat IS 'Up to when what has begun is paid for, by the rate: microseconds since 1970';

CREATE INDEX "jobs_running" ON "jobs" (queue) WHERE reserved AND strpos(queue, '/') > 0;

-- Older workers would run more than the limits allow.
INSERT INTO "job_schema" (compatible_from) VALUES (4);

-- +goose Down
DELETE FROM "job_schema" WHERE compatible_from = 4;
DROP INDEX "jobs_running";
DROP TABLE "job_permits";
DROP TABLE "job_limits";
