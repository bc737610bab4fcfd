-- For MySQL 8.0.16 and MariaDB 10.6 or later. Names of tables and indexes stand in backquotes, and nothing else does: that is how
-- a table prefix finds them. All times are UTC.
--
-- The format of jobs is REDUNDANT, and reserved_by is a CHAR, because then a row has room for its NULL columns of fixed length, and a
-- reservation is written in place. In the other formats it makes each row longer, which splits nearly every page.
--
-- The CHECKs of ids and names keep out bytes that are no characters, with which a row could be listed and never found.

-- +goose Up
CREATE TABLE `jobs` (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'Never used again; a retried failed job gets a new one',
    queue        VARCHAR(191) NOT NULL DEFAULT 'default'
        COMMENT 'Case-sensitive; 1 to 191 characters, no comma, no space at either end',
    priority     SMALLINT NOT NULL DEFAULT 0
        COMMENT 'Smaller runs first',
    payload      LONGTEXT NOT NULL
        COMMENT 'An object: job (the name of the handler), data (any JSON value), and optional settings such as tries, timeout, backoff',
    attempts     INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'How often the job was reserved, less what was given back unstarted',
    exceptions   INT UNSIGNED NOT NULL DEFAULT 0
        COMMENT 'How many runs ended with an error, for a job that has a max_exceptions',
    reserved     TINYINT(1) NOT NULL DEFAULT 0
        COMMENT 'Whether a worker has the job',
    reserved_at  DATETIME(6) NULL
        COMMENT 'When the worker got it; NULL while not reserved',
    reserved_by  CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL
        COMMENT 'The number of the reservation, used once: the id of the worker and a count; NULL while not reserved',
    expires_at   DATETIME(6) NULL
        COMMENT 'When the reservation ends unless its worker keeps it; NULL while not reserved, and for a reservation that never ends',
    started      TINYINT(1) NOT NULL DEFAULT 0
        COMMENT 'Told before a handler begins its last try; on a job that waits: the worker died in that try',
    available_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'Not to be reserved before',
    created_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was pushed',
    unique_key   VARCHAR(191) NULL
        COMMENT 'At most one job of a queue has a given key; NULL for most jobs',
    CHECK (JSON_VALID(payload)),
    CHECK (queue <> '' AND queue NOT LIKE ' %' AND queue NOT LIKE '% ' AND queue NOT LIKE '%,%'),
    CHECK ((reserved = 1 AND reserved_at IS NOT NULL AND reserved_by IS NOT NULL)
        OR (reserved = 0 AND reserved_at IS NULL AND reserved_by IS NULL AND expires_at IS NULL)),
    KEY `jobs_ready` (queue, priority, available_at, id),
    KEY `jobs_expiry` (expires_at),
    UNIQUE KEY `jobs_unique` (queue, unique_key)
) ENGINE = InnoDB ROW_FORMAT = REDUNDANT DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Jobs that wait, are delayed or are running. An INSERT of queue and payload is a valid push';

CREATE TABLE `failed_jobs` (
    id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'The number of the failure: what retry and forget take',
    job_id     BIGINT UNSIGNED NOT NULL
        COMMENT 'The id that the job had in jobs',
    queue      VARCHAR(191) NOT NULL
        COMMENT 'As it was in jobs',
    priority   SMALLINT NOT NULL
        COMMENT 'As it was in jobs',
    payload    LONGTEXT NOT NULL
        COMMENT 'As it was in jobs',
    attempts   INT UNSIGNED NOT NULL
        COMMENT 'How often the job had been reserved when it failed',
    unique_key VARCHAR(191) NULL
        COMMENT 'As it was in jobs; free for other jobs while this one has failed',
    error      MEDIUMTEXT NOT NULL
        COMMENT 'Why it failed',
    stack      MEDIUMTEXT NOT NULL
        COMMENT 'Where it failed, if that is known; otherwise empty',
    created_at DATETIME(6) NOT NULL
        COMMENT 'When the job was pushed',
    failed_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it failed',
    CHECK (JSON_VALID(payload)),
    CHECK (queue <> '' AND queue NOT LIKE ' %' AND queue NOT LIKE '% ' AND queue NOT LIKE '%,%'),
    KEY `failed_jobs_queue` (queue, id),
    KEY `failed_jobs_failed_at` (failed_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Jobs that failed for good, until they are retried or forgotten';

CREATE TABLE `job_queues` (
    queue        VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'The name of the queue; empty for all queues',
    paused       TINYINT(1) NOT NULL DEFAULT 0
        COMMENT 'Whether nothing is reserved from it',
    paused_until DATETIME(6) NULL
        COMMENT 'When a pause ends by itself; NULL when it does not',
    restarts     BIGINT NOT NULL DEFAULT 0
        COMMENT 'Counts restart commands; a worker that started under a smaller count finishes and exits',
    maintenance  TINYINT(1) NOT NULL DEFAULT 0
        COMMENT 'Whether workers wait unless they were started with --force',
    expire_ms    BIGINT NULL
        COMMENT 'Expire of the reservations of this queue in milliseconds; 0 for never, NULL for what each worker has set',
    CHECK (expire_ms >= 0)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What operators have said about a queue, and under the empty name about all of them. A queue needs no row here';

CREATE TABLE `job_workers` (
    id                 VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY
        COMMENT 'Random, new at each start; the first part of the reserved_by of its reservations',
    name               VARCHAR(191) NOT NULL
        COMMENT 'What the operator calls it',
    host               VARCHAR(255) NOT NULL
        COMMENT 'The name of its host',
    pid                INT NOT NULL
        COMMENT 'Its process there',
    queues             TEXT NOT NULL
        COMMENT 'The queues it serves, in order, separated by commas',
    concurrency        INT NOT NULL
        COMMENT 'How many handlers it runs at once',
    wanted_concurrency INT NULL
        COMMENT 'How many it should run, when that was set from outside',
    started_at         DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it started',
    seen_at            DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it last wrote this row',
    CHECK (wanted_concurrency > 0),
    CHECK (CONVERT(id USING utf8mb4) NOT LIKE '%?%')
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Workers that run, each written before its first reservation';

CREATE TABLE `job_counts` (
    id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY
        COMMENT 'Rows are inserted and never changed, so that no worker waits for another',
    minute   DATETIME(6) NOT NULL
        COMMENT 'Its start',
    queue    VARCHAR(191) NOT NULL
        COMMENT 'The name of the queue',
    pushed   BIGINT NOT NULL
        COMMENT 'Jobs pushed in this minute that have come to an end, then or later',
    done     BIGINT NOT NULL
        COMMENT 'Jobs that ended well in this minute, or were discarded',
    failed   BIGINT NOT NULL
        COMMENT 'Jobs that failed for good in this minute',
    released BIGINT NOT NULL
        COMMENT 'Runs that ended in this minute with an error or a release, and whose jobs run again',
    KEY `job_counts_minute` (minute)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'What workers have counted; the sums over a minute and a queue matter';

CREATE TABLE `job_subscriptions` (
    name       VARCHAR(191) NOT NULL PRIMARY KEY
        COMMENT 'What the operator calls it',
    url        TEXT NOT NULL
        COMMENT 'Where each job of the queue is sent to',
    queue      VARCHAR(191) NOT NULL
        COMMENT 'The name of the queue',
    secret     TEXT NOT NULL
        COMMENT 'Signs what is sent; empty: nothing is signed',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
        COMMENT 'When it was first written',
    CHECK (CONVERT(CONVERT(name USING utf16) USING utf8mb4) = name),
    UNIQUE KEY `job_subscriptions_queue` (queue)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Queues whose jobs are sent to a URL';

CREATE TABLE `job_schema` (
    compatible_from BIGINT NOT NULL PRIMARY KEY
        COMMENT 'Programs must know this version or a later one',
    CHECK (compatible_from >= 1)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
  COMMENT = 'Versions of the tables that older programs cannot work with; none at first';

-- +goose Down
-- In the order in which exchanges and beats take them, so that none waits for another.
DROP TABLE `jobs`;
DROP TABLE `failed_jobs`;
DROP TABLE `job_queues`;
DROP TABLE `job_workers`;
DROP TABLE `job_counts`;
DROP TABLE `job_subscriptions`;
DROP TABLE `job_schema`;
