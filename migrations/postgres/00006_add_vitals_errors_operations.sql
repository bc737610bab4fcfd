-- Names of tables and indexes stand in double quotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
ALTER TABLE "job_workers"
    ADD COLUMN version text    NOT NULL DEFAULT '',
    ADD COLUMN status  text    NOT NULL DEFAULT '',
    ADD COLUMN busy    integer NOT NULL DEFAULT 0,
    ADD COLUMN memory  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN running text    NOT NULL DEFAULT '';

COMMENT ON COLUMN "job_workers".version IS 'Of its program; empty if that is not known';
COMMENT ON COLUMN "job_workers".status IS 'running, paused or stopping; empty for a worker of an older program';
COMMENT ON COLUMN "job_workers".busy IS 'How many handlers it runs';
COMMENT ON COLUMN "job_workers".memory IS 'How many bytes its process has in use; 0 if that is not known';
COMMENT ON COLUMN "job_workers".running IS 'The oldest handlers that it runs, as a JSON array of at most 4 KB; empty for none';

CREATE TABLE "job_errors" (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id  bigint      NOT NULL,
    queue   text        COLLATE "C" NOT NULL,
    name    text        NOT NULL,
    attempt integer     NOT NULL,
    outcome text        NOT NULL,
    error   text        NOT NULL,
    stack   text        NOT NULL,
    worker  text        NOT NULL,
    took_ms bigint      NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX "job_errors_job" ON "job_errors" (job_id, id);
CREATE INDEX "job_errors_at" ON "job_errors" (at);

COMMENT ON TABLE "job_errors" IS 'Runs of the last days that went wrong, whatever became of their jobs. Rows are inserted and never changed';
COMMENT ON COLUMN "job_errors".id IS 'The newest has the greatest, nearly';
COMMENT ON COLUMN "job_errors".job_id IS 'The id of the job in jobs';
COMMENT ON COLUMN "job_errors".queue IS 'As it was in jobs';
COMMENT ON COLUMN "job_errors".name IS 'The beginning of the handler''s name';
COMMENT ON COLUMN "job_errors".attempt IS 'Which try it was, from 1';
COMMENT ON COLUMN "job_errors".outcome IS 'What became of the job: released, failed, discarded, kept, or lost for a reservation that was lost';
COMMENT ON COLUMN "job_errors".error IS 'The beginning of the error';
COMMENT ON COLUMN "job_errors".stack IS 'The beginning of the stack, if one is known; otherwise empty';
COMMENT ON COLUMN "job_errors".worker IS 'The name of the worker';
COMMENT ON COLUMN "job_errors".took_ms IS 'How long the run took, in milliseconds';
COMMENT ON COLUMN "job_errors".at IS 'When it ended';

CREATE TABLE "job_operations" (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    who      text        NOT NULL,
    via      text        NOT NULL,
    action   text        NOT NULL,
    queue    text        COLLATE "C" NOT NULL,
    target   text        NOT NULL,
    affected bigint      NOT NULL,
    note     text        NOT NULL DEFAULT ''
);

CREATE INDEX "job_operations_at" ON "job_operations" (at);

COMMENT ON TABLE "job_operations" IS 'What operators have changed, each written in the transaction of the change';
COMMENT ON COLUMN "job_operations".id IS 'The newest has the greatest, nearly';
COMMENT ON COLUMN "job_operations".at IS 'When';
COMMENT ON COLUMN "job_operations".who IS 'Who, as the program said';
COMMENT ON COLUMN "job_operations".via IS 'By what: cli for the command line';
COMMENT ON COLUMN "job_operations".action IS 'Such as cancel, retry or pause';
COMMENT ON COLUMN "job_operations".queue IS 'The queue, if it was about one';
COMMENT ON COLUMN "job_operations".target IS 'Ids, conditions or new values';
COMMENT ON COLUMN "job_operations".affected IS 'How many rows were changed';
COMMENT ON COLUMN "job_operations".note IS 'Why, if that was said';

-- +goose Down
ALTER TABLE "job_workers"
    DROP COLUMN version, DROP COLUMN status, DROP COLUMN busy, DROP COLUMN memory, DROP COLUMN running;
DROP TABLE "job_errors";
DROP TABLE "job_operations";
