-- Limits of queues, and of all queues below a level of names. Every statement can be repeated.

-- +goose Up
CREATE TABLE `job_limits` (
    queue       VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'A queue, with all below it together; or a name that ends in /*, for each queue below by itself',
    max_running INT NULL
        COMMENT 'How many jobs may run at once; NULL for any number',
    rate        INT NULL
        COMMENT 'How many jobs may begin in rate_ms; NULL for any number',
    rate_ms     BIGINT NULL
        COMMENT 'The time of rate in milliseconds; NULL if there is no rate',
    burst       INT NULL
        COMMENT 'How many jobs may begin at once after a quiet time; NULL for what one second brings, at least 1',
    CHECK (max_running >= 1 AND rate >= 1 AND rate_ms >= 1 AND burst >= 1),
    CHECK ((rate IS NULL) = (rate_ms IS NULL))
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What operators have said about how many jobs may run. A queue needs no row here';

CREATE TABLE `job_permits` (
    queue VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'The name of the queue, or that of its level',
    tat   BIGINT NOT NULL
        COMMENT 'Up to when what has begun is paid for, by the rate: microseconds since 1970'
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'One row for each queue with a limit, locked by the exchange that reserves from it. Rows can be deleted at any time';

-- Older workers would run more than the limits allow.
REPLACE INTO `job_schema` (compatible_from) VALUES (4);

-- +goose Down
DELETE FROM `job_schema` WHERE compatible_from = 4;
DROP TABLE `job_permits`;
DROP TABLE `job_limits`;
