-- +goose Up
CREATE TABLE "job_once" (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue      text        COLLATE "C" NOT NULL,
    unique_key text        COLLATE "C" NOT NULL,
    job_id     bigint      NOT NULL DEFAULT 0,
    held_until timestamptz NOT NULL
);

CREATE UNIQUE INDEX "job_once_key" ON "job_once" (queue, unique_key);
CREATE INDEX "job_once_until" ON "job_once" (held_until);

COMMENT ON TABLE "job_once" IS 'Unique keys that are held for a time, also after their job is done. Workers delete rows whose time has passed';
COMMENT ON COLUMN "job_once".id IS 'By which rows are deleted';
COMMENT ON COLUMN "job_once".queue IS 'The queue''s name';
COMMENT ON COLUMN "job_once".unique_key IS 'At most one row of a queue has a given key';
COMMENT ON COLUMN "job_once".job_id IS 'The id that the job has or had in jobs';
COMMENT ON COLUMN "job_once".held_until IS 'When the key is free again, if the job no longer holds it';

ALTER TABLE "jobs" ADD COLUMN unique_until smallint NOT NULL DEFAULT 0 CHECK (unique_until IN (0, 1));

COMMENT ON COLUMN "jobs".unique_until IS '0: the job keeps its unique_key until it is deleted or has failed; 1: a worker that reserves the job sets the key to NULL';

-- +goose Down
ALTER TABLE "jobs" DROP COLUMN unique_until;
DROP TABLE "job_once";
