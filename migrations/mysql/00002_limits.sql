-- Limits of queues, and of all queues below a level of names.

-- +goose Up
ALTER TABLE `job_queues`
    ADD COLUMN max_running INT NULL
        COMMENT 'How many jobs may run at once: of the queue and all below it, or of each queue if the name ends in /*; NULL for any number',
    ADD COLUMN rate        INT NULL
        COMMENT 'How many jobs may begin in rate_ms; NULL for any number',
    ADD COLUMN rate_ms     BIGINT NULL
        COMMENT 'The time of rate in milliseconds; NULL if there is no rate',
    ADD COLUMN burst       INT NULL
        COMMENT 'How many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1';

CREATE TABLE `job_permits` (
    queue VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'The name of the queue, or that of its level',
    tat   BIGINT NOT NULL
        COMMENT 'Up to when what has begun is paid for, by the rate: microseconds since 1970'
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'One row for each queue with a limit, locked by the exchange that reserves from it. Rows can be deleted at any time';

-- Older workers would run more than the limits allow.
INSERT INTO `job_schema` (compatible_from) VALUES (2);

-- +goose Down
DELETE FROM `job_schema` WHERE compatible_from = 2;
DROP TABLE `job_permits`;
ALTER TABLE `job_queues` DROP COLUMN max_running, DROP COLUMN rate, DROP COLUMN rate_ms, DROP COLUMN burst;
