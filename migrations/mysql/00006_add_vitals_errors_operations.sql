-- Names of tables and indexes stand in backquotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
ALTER TABLE `job_workers` ADD COLUMN version VARCHAR(191) NOT NULL DEFAULT ''
    COMMENT 'Of its program, empty if that is not known';
ALTER TABLE `job_workers` ADD COLUMN status VARCHAR(32) NOT NULL DEFAULT ''
    COMMENT 'running, paused or stopping, empty for a worker of an older program';
ALTER TABLE `job_workers` ADD COLUMN busy INT NOT NULL DEFAULT 0
    COMMENT 'How many handlers it runs';
ALTER TABLE `job_workers` ADD COLUMN memory BIGINT NOT NULL DEFAULT 0
    COMMENT 'How many bytes its process has in use, 0 if that is not known';
ALTER TABLE `job_workers` ADD COLUMN running VARCHAR(4096) NOT NULL DEFAULT ''
    COMMENT 'The oldest handlers that it runs, as a JSON array of at most 4 KB, empty for none';

CREATE TABLE `job_errors` (
    id      BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'The newest has the greatest, nearly',
    job_id  BIGINT UNSIGNED NOT NULL
        COMMENT 'The id of the job in jobs',
    queue   VARCHAR(191) NOT NULL
        COMMENT 'As it was in jobs',
    name    VARCHAR(191) NOT NULL
        COMMENT 'The beginning of the name of the handler',
    attempt INT UNSIGNED NOT NULL
        COMMENT 'Which try it was, from 1',
    outcome VARCHAR(32) NOT NULL
        COMMENT 'What became of the job: released, failed, discarded, kept, or lost for a reservation that was lost',
    error   TEXT NOT NULL
        COMMENT 'The beginning of the error',
    stack   TEXT NOT NULL
        COMMENT 'The beginning of the stack, if one is known; otherwise empty',
    worker  VARCHAR(191) NOT NULL
        COMMENT 'The name of the worker',
    took_ms BIGINT NOT NULL
        COMMENT 'How long the run took, in milliseconds',
    at      DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it ended',
    KEY `job_errors_job` (job_id, id),
    KEY `job_errors_at` (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Runs of the last days that went wrong, whatever became of their jobs. Rows are inserted and never changed';

CREATE TABLE `job_operations` (
    id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'The newest has the greatest, nearly',
    at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When',
    who      VARCHAR(191) NOT NULL
        COMMENT 'Who, as the program said',
    via      VARCHAR(191) NOT NULL
        COMMENT 'By what: cli for the command line',
    action   VARCHAR(64) NOT NULL
        COMMENT 'Such as cancel, retry or pause',
    queue    VARCHAR(191) NOT NULL
        COMMENT 'The queue, if it was about one',
    target   TEXT NOT NULL
        COMMENT 'Ids, conditions or new values',
    affected BIGINT NOT NULL
        COMMENT 'How many rows were changed',
    note     VARCHAR(2000) NOT NULL DEFAULT ''
        COMMENT 'Why, if that was said',
    KEY `job_operations_at` (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What operators have changed, each written in the transaction of the change';

-- +goose Down
ALTER TABLE `job_workers` DROP COLUMN version;
ALTER TABLE `job_workers` DROP COLUMN status;
ALTER TABLE `job_workers` DROP COLUMN busy;
ALTER TABLE `job_workers` DROP COLUMN memory;
ALTER TABLE `job_workers` DROP COLUMN running;
DROP TABLE `job_errors`;
DROP TABLE `job_operations`;
