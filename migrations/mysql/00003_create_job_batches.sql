-- +goose Up
CREATE TABLE `job_batches` (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'What batches show takes',
    queue        VARCHAR(191) NOT NULL UNIQUE
        COMMENT 'The queue that has the jobs of the batch, and no others; the part after its last / begins with b',
    name         VARCHAR(191) NOT NULL DEFAULT ''
        COMMENT 'What people call it',
    total        BIGINT NOT NULL DEFAULT 0
        COMMENT 'How many jobs were pushed into it',
    on_success   LONGTEXT NULL
        COMMENT 'A job, as in then of a payload: pushed once, when the queue is empty and none of its jobs has failed, also after a retry',
    on_finish    LONGTEXT NULL
        COMMENT 'The same: pushed once, when the queue is first empty',
    on_failure   LONGTEXT NULL
        COMMENT 'The same: pushed once, when the first of its jobs has failed for good',
    created_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was made',
    sealed_at    DATETIME(6) NULL
        COMMENT 'Since when it may end; NULL while more is to be pushed',
    failed_at    DATETIME(6) NULL
        COMMENT 'When it was seen that a job has failed',
    finished_at  DATETIME(6) NULL
        COMMENT 'When its queue was seen to be empty',
    succeeded_at DATETIME(6) NULL
        COMMENT 'When its queue was seen to be empty, and no job of it had failed',
    closed_at    DATETIME(6) NULL
        COMMENT 'When it succeeded, or was cancelled: nobody looks at it any more',
    CHECK (JSON_VALID(on_success)),
    CHECK (JSON_VALID(on_finish)),
    CHECK (JSON_VALID(on_failure)),
    CHECK (queue <> '' AND queue NOT LIKE ' %' AND queue NOT LIKE '% ' AND queue NOT LIKE '%,%'),
    KEY `job_batches_open` (closed_at, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Batches: each is a queue that ends, and pushes jobs when it does';

-- +goose Down
DROP TABLE `job_batches`;
