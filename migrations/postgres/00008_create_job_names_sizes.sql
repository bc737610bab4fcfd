-- Names of tables and indexes stand in double quotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
CREATE TABLE "job_names" (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step     smallint    NOT NULL DEFAULT 0,
    minute   timestamptz NOT NULL,
    queue    text        COLLATE "C" NOT NULL,
    name     text        COLLATE "C" NOT NULL,
    done     bigint      NOT NULL DEFAULT 0,
    failed   bigint      NOT NULL DEFAULT 0,
    released bigint      NOT NULL DEFAULT 0,
    run      text        NOT NULL DEFAULT '',
    wait     text        NOT NULL DEFAULT ''
);

CREATE INDEX "job_names_step" ON "job_names" (step, minute);

COMMENT ON TABLE "job_names" IS 'What workers have counted by the names of handlers; the sums matter. Rows are inserted, and merged into fewer as they get older';
COMMENT ON COLUMN "job_names".id IS 'Rows are never changed, so that no worker waits for another';
COMMENT ON COLUMN "job_names".step IS 'Of how many minutes it is the sum: 1, 10 or 60; 0 for a row of one minute that is not merged yet';
COMMENT ON COLUMN "job_names".minute IS 'The start of these minutes';
COMMENT ON COLUMN "job_names".queue IS 'The first level of the queues: mail for mail/42; empty with an empty name';
COMMENT ON COLUMN "job_names".name IS 'The beginning of the handler''s name; empty for all others, because there were too many';
COMMENT ON COLUMN "job_names".done IS 'Jobs that ended well, or were discarded';
COMMENT ON COLUMN "job_names".failed IS 'Jobs that failed for good';
COMMENT ON COLUMN "job_names".released IS 'Runs that ended with an error or a release, and whose jobs run again';
COMMENT ON COLUMN "job_names".run IS 'Histogram of how long handlers ran';
COMMENT ON COLUMN "job_names".wait IS 'Histogram of how long jobs were due before their handler started';

CREATE TABLE "job_sizes" (
    step      smallint    NOT NULL,
    minute    timestamptz NOT NULL,
    queue     text        COLLATE "C" NOT NULL,
    ready     bigint      NOT NULL,
    not_due   bigint      NOT NULL,
    reserved  bigint      NOT NULL,
    failed    bigint      NOT NULL,
    oldest_ms bigint      NOT NULL,
    PRIMARY KEY (step, minute, queue)
);

COMMENT ON TABLE "job_sizes" IS 'What the queues held, once a minute, and of older hours the greatest';
COMMENT ON COLUMN "job_sizes".step IS 'Of how many minutes these are the greatest: 1 or 60';
COMMENT ON COLUMN "job_sizes".minute IS 'The start of these minutes';
COMMENT ON COLUMN "job_sizes".queue IS 'The first level of the queues: mail for mail and mail/42; empty for all queues';
COMMENT ON COLUMN "job_sizes".ready IS 'Jobs that are due and wait; 10,000 for a queue stands for so many or more, as in the other columns';
COMMENT ON COLUMN "job_sizes".not_due IS 'Jobs that are not due yet';
COMMENT ON COLUMN "job_sizes".reserved IS 'Jobs that workers have';
COMMENT ON COLUMN "job_sizes".failed IS 'Failed jobs';
COMMENT ON COLUMN "job_sizes".oldest_ms IS 'For how many milliseconds the oldest ready job has been due';

CREATE TABLE "job_upkeep" (
    queue   text        COLLATE "C" PRIMARY KEY,
    minute  timestamptz NOT NULL,
    counted bigint      NOT NULL
);

COMMENT ON TABLE "job_upkeep" IS 'One row, so that one worker each minute measures the queues and merges counts';
COMMENT ON COLUMN "job_upkeep".queue IS 'Empty';
COMMENT ON COLUMN "job_upkeep".minute IS 'The last minute in which a worker has done it';
COMMENT ON COLUMN "job_upkeep".counted IS 'Up to which id the rows of job_counts are merged';

-- +goose Down
DROP TABLE "job_names";
DROP TABLE "job_sizes";
DROP TABLE "job_upkeep";
