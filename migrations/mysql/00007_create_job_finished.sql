-- Finished jobs with their results, how far running jobs are, and cancelled jobs. All of it may be there while older programs work.

-- +goose Up
ALTER TABLE `job_queues` ADD COLUMN keep_ms BIGINT NULL
    COMMENT 'How long jobs are kept when they are done, in milliseconds, 0 for not at all, NULL for what is said about the level or all queues';

CREATE TABLE `job_finished` (
    id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'The job that finished last has the greatest, nearly',
    job_id      BIGINT UNSIGNED NOT NULL
        COMMENT 'The id that the job had in jobs',
    queue       VARCHAR(191) NOT NULL
        COMMENT 'As it was in jobs',
    name        VARCHAR(191) NOT NULL
        COMMENT 'The beginning of the name of the handler',
    priority    SMALLINT NOT NULL
        COMMENT 'As it was in jobs',
    payload     LONGTEXT NOT NULL
        COMMENT 'As it was in jobs',
    attempts    INT UNSIGNED NOT NULL
        COMMENT 'How often the job had been reserved when it was done',
    outcome     VARCHAR(32) NOT NULL
        COMMENT 'done, or discarded if its handler said so',
    result      MEDIUMTEXT NULL
        COMMENT 'What its handler returned, as JSON; NULL for nothing',
    worker      VARCHAR(191) NOT NULL
        COMMENT 'The name of the worker',
    created_at  DATETIME(6) NOT NULL
        COMMENT 'When the job was pushed',
    started_at  DATETIME(6) NOT NULL
        COMMENT 'When its last run began',
    finished_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was done',
    keep_until  DATETIME(6) NOT NULL
        COMMENT 'When the row may be deleted',
    KEY `job_finished_job` (job_id),
    KEY `job_finished_queue` (queue, id),
    KEY `job_finished_name` (name, id),
    KEY `job_finished_until` (keep_until)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Jobs that are done and that are kept for some time. Rows are inserted and never changed';

CREATE TABLE `job_progress` (
    job_id   BIGINT UNSIGNED NOT NULL PRIMARY KEY
        COMMENT 'The id of the job in jobs',
    fraction DOUBLE NOT NULL
        COMMENT 'From 0 to 1',
    text     VARCHAR(1000) NOT NULL
        COMMENT 'What the handler does now; may be empty',
    at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was written; from before the reservation of the job it is of an earlier run',
    KEY `job_progress_at` (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'How far running jobs are, as their handlers said. Rows can be deleted at any time';

CREATE TABLE `job_cancelled` (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'In the order in which they were cancelled, nearly',
    undo_key     VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        COMMENT 'The same for all that were cancelled together',
    job_id       BIGINT UNSIGNED NOT NULL
        COMMENT 'The id that the job had in jobs',
    queue        VARCHAR(191) NOT NULL
        COMMENT 'As it was in jobs',
    priority     SMALLINT NOT NULL
        COMMENT 'As it was in jobs',
    payload      LONGTEXT NOT NULL
        COMMENT 'As it was in jobs',
    attempts     INT UNSIGNED NOT NULL
        COMMENT 'As it was in jobs',
    exceptions   INT UNSIGNED NOT NULL
        COMMENT 'As it was in jobs',
    available_at DATETIME(6) NOT NULL
        COMMENT 'As it was in jobs',
    created_at   DATETIME(6) NOT NULL
        COMMENT 'When the job was pushed',
    unique_key   VARCHAR(191) NULL
        COMMENT 'As it was in jobs; free for other jobs while this one is cancelled',
    unique_until SMALLINT NOT NULL
        COMMENT 'As it was in jobs',
    cancelled_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was cancelled',
    KEY `job_cancelled_undo` (undo_key, id),
    KEY `job_cancelled_at` (cancelled_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Jobs that operators have cancelled, for some days, so that they can be put back';

-- +goose Down
ALTER TABLE `job_queues` DROP COLUMN keep_ms;
DROP TABLE `job_finished`;
DROP TABLE `job_progress`;
DROP TABLE `job_cancelled`;
