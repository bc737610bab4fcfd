-- Names of tables and indexes stand in double quotes, and nothing else does: that is how a table prefix finds them. Times are
-- microseconds since 1970 UTC. SQLite keeps a value of any type in any column: typeof says which are taken. AUTOINCREMENT, because a plain rowid is used again once the table is empty.

-- +goose Up
-- Jobs that wait, are delayed or are running. An INSERT of queue and payload is a valid push.
CREATE TABLE "jobs" (
    id           INTEGER PRIMARY KEY AUTOINCREMENT   -- never used again; a retried failed job gets a new one
                 CHECK (id BETWEEN 1 AND 4611686018427387904), -- after the greatest there is none for the next
    queue        TEXT    NOT NULL DEFAULT 'default'  -- case-sensitive; 1 to 191 characters, no comma, no space at either end
                 CHECK (length(queue) BETWEEN 1 AND 191 AND queue = trim(queue) AND instr(queue, ',') = 0 AND typeof(queue) = 'text'),
    priority     INTEGER NOT NULL DEFAULT 0          -- smaller runs first
                 CHECK (priority BETWEEN -32768 AND 32767 AND typeof(priority) = 'integer'),
    payload      TEXT    NOT NULL                    -- an object: job (the handler's name), data (any JSON value), and optional settings such as tries, timeout, backoff
                 CHECK (typeof(payload) IN ('text', 'blob')) CHECK (json_valid(payload)),
    attempts     INTEGER NOT NULL DEFAULT 0          -- how often the job was reserved, less what was given back unstarted
                 CHECK (attempts >= 0 AND typeof(attempts) = 'integer'),
    exceptions   INTEGER NOT NULL DEFAULT 0          -- how many runs ended with an error, for a job that has a max_exceptions
                 CHECK (exceptions >= 0 AND typeof(exceptions) = 'integer'),
    reserved     INTEGER NOT NULL DEFAULT 0          -- whether a worker has the job: 0 or 1
                 CHECK (reserved IN (0, 1)),
    reserved_at  INTEGER                             -- when the worker got it; NULL while not reserved
                 CHECK (typeof(reserved_at) IN ('integer', 'null')),
    reserved_by  TEXT                                -- the reservation's number, used once: the worker's id and a count; NULL while not reserved
                 CHECK (typeof(reserved_by) IN ('text', 'null')),
    expires_at   INTEGER                             -- when the reservation ends unless its worker keeps it; NULL while not reserved, and for one that never ends
                 CHECK (typeof(expires_at) IN ('integer', 'null')),
    started      INTEGER NOT NULL DEFAULT 0          -- told before a handler begins its last try; on a job that waits: the worker died in that try
                 CHECK (started IN (0, 1)),
    available_at INTEGER NOT NULL                    -- not to be reserved before
                 DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER))
                 CHECK (typeof(available_at) = 'integer'),
    created_at   INTEGER NOT NULL                    -- when it was pushed
                 DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER))
                 CHECK (typeof(created_at) = 'integer'),
    unique_key   TEXT                                -- at most one job of a queue has a given key; NULL for most jobs
                 CHECK (length(unique_key) BETWEEN 1 AND 191 AND typeof(unique_key) IN ('text', 'null')),
    CHECK (CASE WHEN reserved THEN reserved_at IS NOT NULL AND reserved_by IS NOT NULL
                ELSE reserved_at IS NULL AND reserved_by IS NULL AND expires_at IS NULL END)
);

CREATE INDEX "jobs_ready" ON "jobs" (queue, priority, available_at, id) WHERE NOT reserved;
CREATE INDEX "jobs_expiry" ON "jobs" (expires_at) WHERE reserved;
CREATE UNIQUE INDEX "jobs_unique" ON "jobs" (queue, unique_key) WHERE unique_key IS NOT NULL;

-- Jobs that failed for good, until they are retried or forgotten.
CREATE TABLE "failed_jobs" (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the failure's own number: what retry and forget take
    job_id     INTEGER NOT NULL,                   -- the id that the job had in jobs
    queue      TEXT    NOT NULL,                   -- as it was in jobs
    priority   INTEGER NOT NULL,                   -- as it was in jobs
    payload    TEXT    NOT NULL,                   -- as it was in jobs
    attempts   INTEGER NOT NULL,                   -- how often the job had been reserved when it failed
    unique_key TEXT,                               -- as it was in jobs; free for other jobs while this one has failed
    error      TEXT    NOT NULL,                   -- why it failed
    stack      TEXT    NOT NULL,                   -- where it failed, if that is known; otherwise empty
    created_at INTEGER NOT NULL,                   -- when the job was pushed
    failed_at  INTEGER NOT NULL,                   -- when it failed
    CHECK (id BETWEEN 1 AND 4611686018427387904),
    CHECK (length(queue) BETWEEN 1 AND 191 AND queue = trim(queue) AND instr(queue, ',') = 0 AND typeof(queue) = 'text'),
    CHECK (priority BETWEEN -32768 AND 32767 AND typeof(priority) = 'integer'),
    CHECK (typeof(payload) IN ('text', 'blob')),
    CHECK (json_valid(payload)),
    CHECK (attempts >= 0 AND typeof(attempts) = 'integer'),
    CHECK (length(unique_key) BETWEEN 1 AND 191 AND typeof(unique_key) IN ('text', 'null')),
    CHECK (typeof(error) = 'text' AND typeof(stack) = 'text'),
    CHECK (typeof(job_id) = 'integer' AND typeof(created_at) = 'integer' AND typeof(failed_at) = 'integer')
);

CREATE INDEX "failed_jobs_queue" ON "failed_jobs" (queue, id);
CREATE INDEX "failed_jobs_failed_at" ON "failed_jobs" (failed_at);

-- What operators have said about a queue, and under the empty name about all of them. A queue needs no row here.
CREATE TABLE "job_queues" (
    queue        TEXT    NOT NULL PRIMARY KEY,        -- the queue's name; empty for all queues
    paused       INTEGER NOT NULL DEFAULT 0,          -- whether nothing is reserved from it
    paused_until INTEGER,                             -- when a pause ends by itself; NULL when it does not
    restarts     INTEGER NOT NULL DEFAULT 0,          -- counts restart commands; a worker that started under a smaller count finishes and exits
    maintenance  INTEGER NOT NULL DEFAULT 0,          -- whether workers wait unless they were started with --force
    expire_ms    INTEGER CHECK (expire_ms >= 0),      -- expire of this queue's reservations in milliseconds; 0 for never, NULL for what each worker has set
    CHECK (typeof(queue) = 'text'),
    CHECK (paused IN (0, 1) AND maintenance IN (0, 1)),
    CHECK (typeof(restarts) = 'integer' AND typeof(paused_until) IN ('integer', 'null') AND typeof(expire_ms) IN ('integer', 'null'))
);

-- Workers that run, each written before its first reservation.
CREATE TABLE "job_workers" (
    id                 TEXT    NOT NULL PRIMARY KEY,  -- random, new at each start; the first part of its reservations' reserved_by
    name               TEXT    NOT NULL,              -- what the operator calls it
    host               TEXT    NOT NULL,              -- the name of its host
    pid                INTEGER NOT NULL,              -- its process there
    queues             TEXT    NOT NULL,              -- the queues it serves, in order, separated by commas
    concurrency        INTEGER NOT NULL,              -- how many handlers it runs at once
    wanted_concurrency INTEGER CHECK (wanted_concurrency > 0), -- how many it should run, when that was set from outside
    started_at         INTEGER NOT NULL,              -- when it started
    seen_at            INTEGER NOT NULL,              -- when it last wrote this row
    CHECK (typeof(id) = 'text' AND typeof(name) = 'text' AND typeof(host) = 'text' AND typeof(queues) = 'text'),
    CHECK (typeof(pid) = 'integer' AND typeof(concurrency) = 'integer' AND typeof(wanted_concurrency) IN ('integer', 'null')),
    CHECK (typeof(started_at) = 'integer' AND typeof(seen_at) = 'integer')
);

-- What workers have counted; the sums over a minute and a queue matter. Rows are inserted and never changed.
CREATE TABLE "job_counts" (
    id       INTEGER PRIMARY KEY,
    minute   INTEGER NOT NULL,  -- its start
    queue    TEXT    NOT NULL,  -- the queue's name
    pushed   INTEGER NOT NULL,  -- jobs pushed in this minute that have come to an end, then or later
    done     INTEGER NOT NULL,  -- jobs that ended well in this minute, or were discarded
    failed   INTEGER NOT NULL,  -- jobs that failed for good in this minute
    released INTEGER NOT NULL,  -- runs that ended in this minute with an error or a release, and whose jobs run again
    CHECK (typeof(minute) = 'integer' AND typeof(queue) = 'text'),
    -- so that their sums stay numbers
    CHECK (pushed BETWEEN 0 AND 1000000000000000 AND typeof(pushed) = 'integer'),
    CHECK (done BETWEEN 0 AND 1000000000000000 AND typeof(done) = 'integer'),
    CHECK (failed BETWEEN 0 AND 1000000000000000 AND typeof(failed) = 'integer'),
    CHECK (released BETWEEN 0 AND 1000000000000000 AND typeof(released) = 'integer')
);

CREATE INDEX "job_counts_minute" ON "job_counts" (minute);

-- Queues whose jobs are sent to a URL.
CREATE TABLE "job_subscriptions" (
    name       TEXT    NOT NULL PRIMARY KEY,  -- what the operator calls it
    url        TEXT    NOT NULL,              -- where each job of the queue is sent to
    queue      TEXT    NOT NULL UNIQUE,       -- the queue's name
    secret     TEXT    NOT NULL,              -- signs what is sent; empty: nothing is signed
    created_at INTEGER NOT NULL,              -- when it was first written
    CHECK (typeof(name) = 'text' AND typeof(url) = 'text' AND typeof(queue) = 'text' AND typeof(secret) = 'text'),
    CHECK (typeof(created_at) = 'integer')
);

-- Versions of the tables that older programs cannot work with; none at first.
CREATE TABLE "job_schema" (
    compatible_from INTEGER NOT NULL PRIMARY KEY,  -- programs must know this version or a later one
    CHECK (compatible_from >= 1 AND typeof(compatible_from) = 'integer')
);

-- +goose Down
-- In the order in which exchanges and beats take them, so that none waits for another.
DROP TABLE "jobs";
DROP TABLE "failed_jobs";
DROP TABLE "job_queues";
DROP TABLE "job_workers";
DROP TABLE "job_counts";
DROP TABLE "job_subscriptions";
DROP TABLE "job_schema";
