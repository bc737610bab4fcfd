-- +goose Up
-- Batches: each is a queue that ends, and pushes jobs when it does. Callbacks are jobs as in a payload's then.
CREATE TABLE "job_batches" (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- what batches show takes
    queue        TEXT    NOT NULL UNIQUE,           -- has the batch's jobs, and no others; the part after its last / begins with b
    name         TEXT    NOT NULL DEFAULT '',       -- what people call it
    total        INTEGER NOT NULL DEFAULT 0,        -- how many jobs were pushed into it
    on_success   TEXT,                              -- pushed once, when the queue is empty and none has failed, also after a retry
    on_finish    TEXT,                              -- pushed once, when the queue is first empty
    on_failure   TEXT,                              -- pushed once, when the first of its jobs has failed for good
    created_at   INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)), -- when it was made
    sealed_at    INTEGER,                           -- since when it may end; NULL while more is to be pushed
    failed_at    INTEGER,                           -- when it was seen that a job has failed
    finished_at  INTEGER,                           -- when its queue was seen to be empty
    succeeded_at INTEGER,                           -- when its queue was seen to be empty, and no job of it had failed
    closed_at    INTEGER,                           -- when it succeeded, or was cancelled: nobody looks at it any more
    CHECK (length(queue) BETWEEN 1 AND 191 AND queue = trim(queue) AND instr(queue, ',') = 0),
    CHECK (typeof(queue) = 'text' AND typeof(name) = 'text' AND typeof(total) = 'integer' AND typeof(created_at) = 'integer'),
    CHECK (on_success IS NULL OR json_valid(on_success)),
    CHECK (on_finish IS NULL OR json_valid(on_finish)),
    CHECK (on_failure IS NULL OR json_valid(on_failure)),
    CHECK (typeof(sealed_at) IN ('integer', 'null') AND typeof(failed_at) IN ('integer', 'null')),
    CHECK (typeof(finished_at) IN ('integer', 'null') AND typeof(succeeded_at) IN ('integer', 'null')),
    CHECK (typeof(closed_at) IN ('integer', 'null'))
);

CREATE INDEX "job_batches_open" ON "job_batches" (id) WHERE closed_at IS NULL;

-- +goose Down
DROP TABLE "job_batches";
