-- +goose Up
CREATE TABLE `job_once` (
    id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'By which rows are deleted',
    queue      VARCHAR(191) NOT NULL
        COMMENT 'The name of the queue',
    unique_key VARCHAR(191) NOT NULL
        COMMENT 'At most one row of a queue has a given key',
    job_id     BIGINT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'The id that the job has or had in jobs',
    held_until DATETIME(6) NOT NULL
        COMMENT 'When the key is free again, if the job no longer holds it',
    UNIQUE KEY `job_once_key` (queue, unique_key),
    KEY `job_once_until` (held_until)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Unique keys that are held for a time, also after their job is done. Workers delete rows whose time has passed';

ALTER TABLE `jobs` ADD COLUMN unique_until TINYINT NOT NULL DEFAULT 0
    COMMENT '0: the job keeps its unique_key until it is deleted or has failed. 1: a worker that reserves the job sets the key to NULL';

-- +goose Down
DROP TABLE `job_once`;
ALTER TABLE `jobs` DROP COLUMN unique_until;
