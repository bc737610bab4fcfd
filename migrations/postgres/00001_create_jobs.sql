-- Names of tables and indexes stand in double quotes, and nothing else does but the collation C: that is how a table prefix finds
-- them.

-- +goose Up
CREATE TABLE "jobs" (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text        COLLATE "C" NOT NULL DEFAULT 'default'
                             CHECK (char_length(queue) BETWEEN 1 AND 191 AND queue = btrim(queue) AND strpos(queue, ',') = 0),
    priority     smallint    NOT NULL DEFAULT 0,
    payload      json        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    exceptions   integer     NOT NULL DEFAULT 0 CHECK (exceptions >= 0),
    reserved     boolean     NOT NULL DEFAULT false,
    reserved_at  timestamptz,
    reserved_by  text        COLLATE "C",
    expires_at   timestamptz,
    started      boolean     NOT NULL DEFAULT false,
    available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    unique_key   text        COLLATE "C" CHECK (char_length(unique_key) BETWEEN 1 AND 191),
    CHECK (CASE WHEN reserved THEN reserved_at IS NOT NULL AND reserved_by IS NOT NULL
                ELSE reserved_at IS NULL AND reserved_by IS NULL AND expires_at IS NULL END)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 5000, vacuum_truncate = off);

CREATE INDEX "jobs_ready" ON "jobs" (queue, priority, available_at, id) WHERE NOT reserved;
CREATE INDEX "jobs_expiry" ON "jobs" (expires_at) WHERE reserved;
CREATE UNIQUE INDEX "jobs_unique" ON "jobs" (queue, unique_key) WHERE unique_key IS NOT NULL;

COMMENT ON TABLE "jobs" IS 'Jobs that wait, are delayed or are running. An INSERT of queue and payload is a valid push';
COMMENT ON COLUMN "jobs".id IS 'Never used again; a retried failed job gets a new one';
COMMENT ON COLUMN "jobs".queue IS 'Case-sensitive; 1 to 191 characters, no comma, no space at either end';
COMMENT ON COLUMN "jobs".priority IS 'Smaller runs first';
COMMENT ON COLUMN "jobs".payload IS 'An object: job (the handler''s name), data (any JSON value), and optional settings such as tries, timeout, backoff';
COMMENT ON COLUMN "jobs".attempts IS 'How often the job was reserved, less what was given back unstarted';
COMMENT ON COLUMN "jobs".exceptions IS 'How many runs ended with an error, for a job that has a max_exceptions';
COMMENT ON COLUMN "jobs".reserved IS 'Whether a worker has the job';
COMMENT ON COLUMN "jobs".reserved_at IS 'When the worker got it; NULL while not reserved';
COMMENT ON COLUMN "jobs".reserved_by IS 'The reservation''s number, used once: the worker''s id and a count; NULL while not reserved';
COMMENT ON COLUMN "jobs".expires_at IS 'When the reservation ends unless its worker keeps it; NULL while not reserved, and for a reservation that never ends';
COMMENT ON COLUMN "jobs".started IS 'Told before a handler begins its last try; on a job that waits: the worker died in that try';
COMMENT ON COLUMN "jobs".available_at IS 'Not to be reserved before';
COMMENT ON COLUMN "jobs".created_at IS 'When it was pushed';
COMMENT ON COLUMN "jobs".unique_key IS 'At most one job of a queue has a given key; NULL for most jobs';

CREATE TABLE "failed_jobs" (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id     bigint      NOT NULL,
    queue      text        COLLATE "C" NOT NULL
                           CHECK (char_length(queue) BETWEEN 1 AND 191 AND queue = btrim(queue) AND strpos(queue, ',') = 0),
    priority   smallint    NOT NULL,
    payload    json        NOT NULL,
    attempts   integer     NOT NULL,
    unique_key text        COLLATE "C" CHECK (char_length(unique_key) BETWEEN 1 AND 191),
    error      text        NOT NULL,
    stack      text        NOT NULL,
    created_at timestamptz NOT NULL,
    failed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX "failed_jobs_queue" ON "failed_jobs" (queue, id);
CREATE INDEX "failed_jobs_failed_at" ON "failed_jobs" (failed_at);

COMMENT ON TABLE "failed_jobs" IS 'Jobs that failed for good, until they are retried or forgotten';
COMMENT ON COLUMN "failed_jobs".id IS 'The failure''s own number: what retry and forget take';
COMMENT ON COLUMN "failed_jobs".job_id IS 'The id that the job had in jobs';
COMMENT ON COLUMN "failed_jobs".queue IS 'As it was in jobs';
COMMENT ON COLUMN "failed_jobs".priority IS 'As it was in jobs';
COMMENT ON COLUMN "failed_jobs".payload IS 'As it was in jobs';
COMMENT ON COLUMN "failed_jobs".attempts IS 'How often the job had been reserved when it failed';
COMMENT ON COLUMN "failed_jobs".unique_key IS 'As it was in jobs; free for other jobs while this one has failed';
COMMENT ON COLUMN "failed_jobs".error IS 'Why it failed';
COMMENT ON COLUMN "failed_jobs".stack IS 'Where it failed, if that is known; otherwise empty';
COMMENT ON COLUMN "failed_jobs".created_at IS 'When the job was pushed';
COMMENT ON COLUMN "failed_jobs".failed_at IS 'When it failed';

CREATE TABLE "job_queues" (
    queue        text        COLLATE "C" PRIMARY KEY,
    paused       boolean     NOT NULL DEFAULT false,
    paused_until timestamptz,
    restarts     bigint      NOT NULL DEFAULT 0,
    maintenance  boolean     NOT NULL DEFAULT false,
    expire_ms    bigint      CHECK (expire_ms >= 0)
);

COMMENT ON TABLE "job_queues" IS 'What operators have said about a queue, and under the empty name about all of them. A queue needs no row here';
COMMENT ON COLUMN "job_queues".queue IS 'The queue''s name; empty for all queues';
COMMENT ON COLUMN "job_queues".paused IS 'Whether nothing is reserved from it';
COMMENT ON COLUMN "job_queues".paused_until IS 'When a pause ends by itself; NULL when it does not';
COMMENT ON COLUMN "job_queues".restarts IS 'Counts restart commands; a worker that started under a smaller count finishes and exits';
COMMENT ON COLUMN "job_queues".maintenance IS 'Whether workers wait unless they were started with --force';
COMMENT ON COLUMN "job_queues".expire_ms IS 'Expire of this queue''s reservations in milliseconds; 0 for never, NULL for what each worker has set';

CREATE TABLE "job_workers" (
    id                 text        COLLATE "C" PRIMARY KEY,
    name               text        NOT NULL,
    host               text        NOT NULL,
    pid                integer     NOT NULL,
    queues             text        NOT NULL,
    concurrency        integer     NOT NULL,
    wanted_concurrency integer     CHECK (wanted_concurrency > 0),
    started_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at            timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE "job_workers" IS 'Workers that run, each written before its first reservation';
COMMENT ON COLUMN "job_workers".id IS 'Random, new at each start; the first part of its reservations'' reserved_by';
COMMENT ON COLUMN "job_workers".name IS 'What the operator calls it';
COMMENT ON COLUMN "job_workers".host IS 'The name of its host';
COMMENT ON COLUMN "job_workers".pid IS 'Its process there';
COMMENT ON COLUMN "job_workers".queues IS 'The queues it serves, in order, separated by commas';
COMMENT ON COLUMN "job_workers".concurrency IS 'How many handlers it runs at once';
COMMENT ON COLUMN "job_workers".wanted_concurrency IS 'How many it should run, when that was set from outside';
COMMENT ON COLUMN "job_workers".started_at IS 'When it started';
COMMENT ON COLUMN "job_workers".seen_at IS 'When it last wrote this row';

CREATE TABLE "job_counts" (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    minute   timestamptz NOT NULL,
    queue    text        COLLATE "C" NOT NULL,
    pushed   bigint      NOT NULL,
    done     bigint      NOT NULL,
    failed   bigint      NOT NULL,
    released bigint      NOT NULL
);

CREATE INDEX "job_counts_minute" ON "job_counts" (minute);

COMMENT ON TABLE "job_counts" IS 'What workers have counted; the sums over a minute and a queue matter';
COMMENT ON COLUMN "job_counts".id IS 'Rows are inserted and never changed, so that no worker waits for another';
COMMENT ON COLUMN "job_counts".minute IS 'Its start';
COMMENT ON COLUMN "job_counts".queue IS 'The queue''s name';
COMMENT ON COLUMN "job_counts".pushed IS 'Jobs pushed in this minute that have come to an end, then or later';
COMMENT ON COLUMN "job_counts".done IS 'Jobs that ended well in this minute, or were discarded';
COMMENT ON COLUMN "job_counts".failed IS 'Jobs that failed for good in this minute';
COMMENT ON COLUMN "job_counts".released IS 'Runs that ended in this minute with an error or a release, and whose jobs run again';

CREATE TABLE "job_subscriptions" (
    name       text        COLLATE "C" PRIMARY KEY,
    url        text        NOT NULL,
    queue      text        COLLATE "C" NOT NULL UNIQUE,
    secret     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE "job_subscriptions" IS 'Queues whose jobs are sent to a URL';
COMMENT ON COLUMN "job_subscriptions".name IS 'What the operator calls it';
COMMENT ON COLUMN "job_subscriptions".url IS 'Where each job of the queue is sent to';
COMMENT ON COLUMN "job_subscriptions".queue IS 'The queue''s name';
COMMENT ON COLUMN "job_subscriptions".secret IS 'Signs what is sent; empty: nothing is signed';
COMMENT ON COLUMN "job_subscriptions".created_at IS 'When it was first written';

CREATE TABLE "job_schema" (
    compatible_from bigint NOT NULL PRIMARY KEY CHECK (compatible_from >= 1)
);

COMMENT ON TABLE "job_schema" IS 'Versions of the tables that older programs cannot work with; none at first';
COMMENT ON COLUMN "job_schema".compatible_from IS 'Programs must know this version or a later one';

-- +goose Down
-- In the order in which exchanges and beats take them, so that none waits for another.
DROP TABLE "jobs";
DROP TABLE "failed_jobs";
DROP TABLE "job_queues";
DROP TABLE "job_workers";
DROP TABLE "job_counts";
DROP TABLE "job_subscriptions";
DROP TABLE "job_schema";
