-- +goose Up
CREATE TABLE "job_schedules" (
    name        text        COLLATE "C" PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 191),
    cron        text        NOT NULL DEFAULT '',
    every       text        NOT NULL DEFAULT '',
    zone        text        NOT NULL DEFAULT 'UTC',
    queue       text        COLLATE "C" NOT NULL DEFAULT 'default'
                            CHECK (char_length(queue) BETWEEN 1 AND 191 AND queue = btrim(queue) AND strpos(queue, ',') = 0),
    priority    smallint    NOT NULL DEFAULT 0,
    payload     json        NOT NULL,
    missed      text        NOT NULL DEFAULT 'one' CHECK (missed IN ('skip', 'one', 'all')),
    catch_up_ms bigint      NOT NULL DEFAULT 86400000 CHECK (catch_up_ms >= 0),
    overlap     text        NOT NULL DEFAULT 'allow' CHECK (overlap IN ('allow', 'skip')),
    paused      boolean     NOT NULL DEFAULT false,
    origin      text        NOT NULL DEFAULT '',
    next_at     timestamptz,
    last_at     timestamptz,
    last_job_id bigint      NOT NULL DEFAULT 0,
    runs        bigint      NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((cron = '') <> (every = ''))
);

CREATE INDEX "job_schedules_next" ON "job_schedules" (next_at);

COMMENT ON TABLE "job_schedules" IS 'Jobs that are pushed again and again. An INSERT of name, cron or every, and payload is a valid schedule';
COMMENT ON COLUMN "job_schedules".name IS 'What people call it';
COMMENT ON COLUMN "job_schedules".cron IS 'Minute, hour, day, month and weekday, such as 30 2 * * *; empty if every is given';
COMMENT ON COLUMN "job_schedules".every IS 'An interval, such as 10 minutes or 2 weeks on mon at 02:30; empty if cron is given';
COMMENT ON COLUMN "job_schedules".zone IS 'The time zone of its clock, such as Asia/Shanghai';
COMMENT ON COLUMN "job_schedules".queue IS 'The queue of its jobs';
COMMENT ON COLUMN "job_schedules".priority IS 'Theirs, as in jobs';
COMMENT ON COLUMN "job_schedules".payload IS 'Theirs, as in jobs';
COMMENT ON COLUMN "job_schedules".missed IS 'What becomes of times that no worker was there for: skip, one (the newest is made up for), or all';
COMMENT ON COLUMN "job_schedules".catch_up_ms IS 'How late one may be that is made up for, in milliseconds';
COMMENT ON COLUMN "job_schedules".overlap IS 'skip: no job is pushed while the one before is not done';
COMMENT ON COLUMN "job_schedules".paused IS 'Whether it pushes nothing';
COMMENT ON COLUMN "job_schedules".origin IS 'Who has set it: code for a program, which sets it again when it starts';
COMMENT ON COLUMN "job_schedules".next_at IS 'When it comes next; NULL: a worker finds out';
COMMENT ON COLUMN "job_schedules".last_at IS 'The time for which it came last';
COMMENT ON COLUMN "job_schedules".last_job_id IS 'The id of the job that was pushed then';
COMMENT ON COLUMN "job_schedules".runs IS 'How many jobs it has pushed';
COMMENT ON COLUMN "job_schedules".created_at IS 'When it was first set; intervals count from here';
COMMENT ON COLUMN "job_schedules".updated_at IS 'When it was changed last';

-- +goose Down
DROP TABLE "job_schedules";
