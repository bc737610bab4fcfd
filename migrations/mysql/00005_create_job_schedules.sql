-- +goose Up
CREATE TABLE `job_schedules` (
    name        VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'What people call it',
    cron        VARCHAR(191) NOT NULL DEFAULT ''
        COMMENT 'Minute, hour, day, month and weekday, such as 30 2 * * *; empty if every is given',
    every       VARCHAR(191) NOT NULL DEFAULT ''
        COMMENT 'An interval, such as 10 minutes or 2 weeks on mon at 02:30; empty if cron is given',
    zone        VARCHAR(191) NOT NULL DEFAULT 'UTC'
        COMMENT 'The time zone of its clock, such as Asia/Shanghai',
    queue       VARCHAR(191) NOT NULL DEFAULT 'default'
        COMMENT 'The queue of its jobs',
    priority    SMALLINT NOT NULL DEFAULT 0
        COMMENT 'Theirs, as in jobs',
    payload     LONGTEXT NOT NULL
        COMMENT 'Theirs, as in jobs',
    missed      VARCHAR(10) NOT NULL DEFAULT 'one'
        COMMENT 'What becomes of times that no worker was there for: skip, one (the newest is made up for), or all',
    catch_up_ms BIGINT NOT NULL DEFAULT 86400000
        COMMENT 'How late one may be that is made up for, in milliseconds',
    overlap     VARCHAR(10) NOT NULL DEFAULT 'allow'
        COMMENT 'skip: no job is pushed while the one before is not done',
    paused      BOOLEAN NOT NULL DEFAULT FALSE
        COMMENT 'Whether it pushes nothing',
    origin      VARCHAR(191) NOT NULL DEFAULT ''
        COMMENT 'Who has set it: code for a program, which sets it again when it starts',
    next_at     DATETIME(6) NULL
        COMMENT 'When it comes next; NULL: a worker finds out',
    last_at     DATETIME(6) NULL
        COMMENT 'The time for which it came last',
    last_job_id BIGINT NOT NULL DEFAULT 0
        COMMENT 'The id of the job that was pushed then',
    runs        BIGINT NOT NULL DEFAULT 0
        COMMENT 'How many jobs it has pushed',
    created_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was first set; intervals count from here',
    updated_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was changed last',
    CHECK (name <> ''),
    CHECK ((cron = '') <> (every = '')),
    CHECK (missed IN ('skip', 'one', 'all')),
    CHECK (overlap IN ('allow', 'skip')),
    CHECK (catch_up_ms >= 0),
    CHECK (queue <> '' AND queue NOT LIKE ' %' AND queue NOT LIKE '% ' AND queue NOT LIKE '%,%'),
    CHECK (JSON_VALID(payload)),
    KEY `job_schedules_next` (next_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Jobs that are pushed again and again. An INSERT of name, cron or every, and payload is a valid schedule';

-- +goose Down
DROP TABLE `job_schedules`;
