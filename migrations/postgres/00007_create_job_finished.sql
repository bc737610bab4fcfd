-- Finished jobs with their results, how far running jobs are, and cancelled jobs. All of it may be there while older programs work.

-- +goose Up
ALTER TABLE "job_queues" ADD COLUMN keep_ms bigint CHECK (keep_ms >= 0);

COMMENT ON COLUMN "job_queues".keep_ms IS 'How long jobs are kept when they are done, in milliseconds; 0 for not at all, NULL for what is said about the level or all queues';

CREATE TABLE "job_finished" (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      bigint      NOT NULL,
    queue       text        COLLATE "C" NOT NULL,
    name        text        COLLATE "C" NOT NULL,
    priority    smallint    NOT NULL,
    payload     json        NOT NULL,
    attempts    integer     NOT NULL,
    outcome     text        NOT NULL,
    result      text,
    worker      text        NOT NULL,
    created_at  timestamptz NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    keep_until  timestamptz NOT NULL
);

CREATE INDEX "job_finished_job" ON "job_finished" (job_id);
CREATE INDEX "job_finished_queue" ON "job_finished" (queue, id);
CREATE INDEX "job_finished_name" ON "job_finished" (name, id);
CREATE INDEX "job_finished_until" ON "job_finished" (keep_until);

COMMENT ON TABLE "job_finished" IS 'Jobs that are done and that are kept for some time. Rows are inserted and never changed';
COMMENT ON COLUMN "job_finished".id IS 'The job that finished last has the greatest, nearly';
COMMENT ON COLUMN "job_finished".job_id IS 'The id that the job had in jobs';
COMMENT ON COLUMN "job_finished".queue IS 'As it was in jobs';
COMMENT ON COLUMN "job_finished".name IS 'The beginning of the handler''s name';
COMMENT ON COLUMN "job_finished".priority IS 'As it was in jobs';
COMMENT ON COLUMN "job_finished".payload IS 'As it was in jobs';
COMMENT ON COLUMN "job_finished".attempts IS 'How often the job had been reserved when it was done';
COMMENT ON COLUMN "job_finished".outcome IS 'done, or discarded if its handler said so';
COMMENT ON COLUMN "job_finished".result IS 'What its handler returned, as JSON; NULL for nothing';
COMMENT ON COLUMN "job_finished".worker IS 'The name of the worker';
COMMENT ON COLUMN "job_finished".created_at IS 'When the job was pushed';
COMMENT ON COLUMN "job_finished".started_at IS 'When its last run began';
COMMENT ON COLUMN "job_finished".finished_at IS 'When it was done';
COMMENT ON COLUMN "job_finished".keep_until IS 'When the row may be deleted';

CREATE TABLE "job_progress" (
    job_id   bigint           PRIMARY KEY,
    fraction double precision NOT NULL,
    text     text             NOT NULL,
    at       timestamptz      NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX "job_progress_at" ON "job_progress" (at);

COMMENT ON TABLE "job_progress" IS 'How far running jobs are, as their handlers said. Rows can be deleted at any time';
COMMENT ON COLUMN "job_progress".job_id IS 'The id of the job in jobs';
COMMENT ON COLUMN "job_progress".fraction IS 'From 0 to 1';
COMMENT ON COLUMN "job_progress".text IS 'What the handler does now; may be empty';
COMMENT ON COLUMN "job_progress".at IS 'When it was written; from before the job''s reservation it is of an earlier run';

CREATE TABLE "job_cancelled" (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    undo_key     text        COLLATE "C" NOT NULL,
    job_id       bigint      NOT NULL,
    queue        text        COLLATE "C" NOT NULL,
    priority     smallint    NOT NULL,
    payload      json        NOT NULL,
    attempts     integer     NOT NULL,
    exceptions   integer     NOT NULL,
    available_at timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    unique_key   text        COLLATE "C",
    unique_until smallint    NOT NULL,
    cancelled_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX "job_cancelled_undo" ON "job_cancelled" (undo_key, id);
CREATE INDEX "job_cancelled_at" ON "job_cancelled" (cancelled_at);

COMMENT ON TABLE "job_cancelled" IS 'Jobs that operators have cancelled, for some days, so that they can be put back';
COMMENT ON COLUMN "job_cancelled".id IS 'In the order in which they were cancelled, nearly';
COMMENT ON COLUMN "job_cancelled".undo_key IS 'The same for all that were cancelled together';
COMMENT ON COLUMN "job_cancelled".job_id IS 'The id that the job had in jobs';
COMMENT ON COLUMN "job_cancelled".queue IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".priority IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".payload IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".attempts IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".exceptions IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".available_at IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".created_at IS 'When the job was pushed';
COMMENT ON COLUMN "job_cancelled".unique_key IS 'As it was in jobs; free for other jobs while this one is cancelled';
COMMENT ON COLUMN "job_cancelled".unique_until IS 'As it was in jobs';
COMMENT ON COLUMN "job_cancelled".cancelled_at IS 'When it was cancelled';

-- +goose Down
ALTER TABLE "job_queues" DROP COLUMN keep_ms;
DROP TABLE "job_finished";
DROP TABLE "job_progress";
DROP TABLE "job_cancelled";
