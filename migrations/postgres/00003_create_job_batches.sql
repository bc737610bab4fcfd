-- +goose Up
CREATE TABLE "job_batches" (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text        COLLATE "C" NOT NULL UNIQUE
                             CHECK (char_length(queue) BETWEEN 1 AND 191 AND queue = btrim(queue) AND strpos(queue, ',') = 0),
    name         text        NOT NULL DEFAULT '',
    total        bigint      NOT NULL DEFAULT 0,
    on_success   json,
    on_finish    json,
    on_failure   json,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed_at    timestamptz,
    failed_at    timestamptz,
    finished_at  timestamptz,
    succeeded_at timestamptz,
    closed_at    timestamptz
);

CREATE INDEX "job_batches_open" ON "job_batches" (id) WHERE closed_at IS NULL;

COMMENT ON TABLE "job_batches" IS 'Batches: each is a queue that ends, and pushes jobs when it does';
COMMENT ON COLUMN "job_batches".id IS 'What batches show takes';
COMMENT ON COLUMN "job_batches".queue IS 'The queue that has the batch''s jobs, and no others; the part after its last / begins with b';
COMMENT ON COLUMN "job_batches".name IS 'What people call it';
COMMENT ON COLUMN "job_batches".total IS 'How many jobs were pushed into it';
COMMENT ON COLUMN "job_batches".on_success IS 'A job, as in a payload''s then: pushed once, when the queue is empty and none of its jobs has failed, also after a retry';
COMMENT ON COLUMN "job_batches".on_finish IS 'The same: pushed once, when the queue is first empty';
COMMENT ON COLUMN "job_batches".on_failure IS 'The same: pushed once, when the first of its jobs has failed for good';
COMMENT ON COLUMN "job_batches".created_at IS 'When it was made';
COMMENT ON COLUMN "job_batches".sealed_at IS 'Since when it may end; NULL while more is to be pushed';
COMMENT ON COLUMN "job_batches".failed_at IS 'When it was seen that a job has failed';
COMMENT ON COLUMN "job_batches".finished_at IS 'When its queue was seen to be empty';
COMMENT ON COLUMN "job_batches".succeeded_at IS 'When its queue was seen to be empty, and no job of it had failed';
COMMENT ON COLUMN "job_batches".closed_at IS 'When it succeeded, or was cancelled: nobody looks at it any more';

-- +goose Down
DROP TABLE "job_batches";
