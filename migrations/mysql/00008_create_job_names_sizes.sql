-- Names of tables and indexes stand in backquotes: see the first migration. All of it may be there while older programs work.

-- +goose Up
CREATE TABLE `job_names` (
    id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'Rows are never changed, so that no worker waits for another',
    step     SMALLINT NOT NULL DEFAULT 0
        COMMENT 'Of how many minutes it is the sum: 1, 10 or 60, and 0 for a row of one minute that is not merged yet',
    minute   DATETIME(6) NOT NULL
        COMMENT 'The start of these minutes',
    queue    VARCHAR(191) NOT NULL
        COMMENT 'The first level of the queues: mail for mail/42, empty with an empty name',
    name     VARCHAR(191) NOT NULL
        COMMENT 'The beginning of the name of the handler, empty for all others, because there were too many',
    done     BIGINT NOT NULL DEFAULT 0
        COMMENT 'Jobs that ended well, or were discarded',
    failed   BIGINT NOT NULL DEFAULT 0
        COMMENT 'Jobs that failed for good',
    released BIGINT NOT NULL DEFAULT 0
        COMMENT 'Runs that ended with an error or a release, and whose jobs run again',
    run      VARCHAR(4096) CHARACTER SET ascii NOT NULL DEFAULT ''
        COMMENT 'Histogram of how long handlers ran',
    wait     VARCHAR(4096) CHARACTER SET ascii NOT NULL DEFAULT ''
        COMMENT 'Histogram of how long jobs were due before their handler started',
    KEY `job_names_step` (step, minute)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What workers have counted by the names of handlers, the sums matter. Rows are inserted, and merged into fewer as they get older';

CREATE TABLE `job_sizes` (
    step      SMALLINT NOT NULL
        COMMENT 'Of how many minutes these are the greatest: 1 or 60',
    minute    DATETIME(6) NOT NULL
        COMMENT 'The start of these minutes',
    queue     VARCHAR(191) NOT NULL
        COMMENT 'The first level of the queues: mail for mail and mail/42, empty for all queues',
    ready     BIGINT NOT NULL
        COMMENT 'Jobs that are due and wait: 10,000 for a queue stands for so many or more, as in the other columns',
    not_due   BIGINT NOT NULL
        COMMENT 'Jobs that are not due yet',
    reserved  BIGINT NOT NULL
        COMMENT 'Jobs that workers have',
    failed    BIGINT NOT NULL
        COMMENT 'Failed jobs',
    oldest_ms BIGINT NOT NULL
        COMMENT 'For how many milliseconds the oldest ready job has been due',
    PRIMARY KEY (step, minute, queue)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What the queues held, once a minute, and of older hours the greatest';

CREATE TABLE `job_upkeep` (
    queue   VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'Empty',
    minute  DATETIME(6) NOT NULL
        COMMENT 'The last minute in which a worker has done it',
    counted BIGINT NOT NULL
        COMMENT 'Up to which id the rows of job_counts are merged'
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'One row, so that one worker each minute measures the queues and merges counts';

-- +goose Down
DROP TABLE `job_names`;
DROP TABLE `job_sizes`;
DROP TABLE `job_upkeep`;
