package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vgarvardt/gue/v5"
	"github.com/vgarvardt/gue/v5/adapter/pgxv5"
)

// gueTables are those of its migrations/schema.sql.
const gueTables = `
CREATE TABLE gue_jobs (
    job_id text NOT NULL PRIMARY KEY, priority smallint NOT NULL, run_at timestamptz NOT NULL, job_type text NOT NULL, args bytea NOT NULL,
    error_count integer NOT NULL DEFAULT 0, last_error text, queue text NOT NULL, created_at timestamptz NOT NULL, ` +
	`updated_at timestamptz NOT NULL);
CREATE INDEX idx_gue_jobs_selector ON gue_jobs (queue, run_at, priority)`

const gueWorkers = 20

type gueQueue struct {
	pool   *pgxpool.Pool
	client *gue.Client
}

func openGue(ctx context.Context, dsn string, setup bool) (queue, error) {
	pool, err := openPool(ctx, dsn, false)
	if err != nil {
		return nil, err
	}
	if setup {
		if _, err := pool.Exec(ctx, gueTables); err != nil {
			return nil, err
		}
	}
	client, err := gue.NewClient(pgxv5.NewConnPool(pool))
	return &gueQueue{pool, client}, err
}

func (g *gueQueue) Push(ctx context.Context, jobs []args, delay time.Duration) error {
	many := make([]*gue.Job, len(jobs))
	for i, job := range jobs {
		data, err := json.Marshal(job)
		if err != nil {
			return err
		}
		many[i] = &gue.Job{Type: "job", Args: data, RunAt: time.Now().Add(delay)}
	}
	if len(many) == 1 {
		return g.client.Enqueue(ctx, many[0])
	}
	return g.client.EnqueueBatch(ctx, many)
}

func (g *gueQueue) Work(ctx context.Context, _ int, handle func(args)) error {
	run := func(_ context.Context, j *gue.Job) error {
		var job args
		if err := json.Unmarshal(j.Args, &job); err != nil {
			return err
		}
		handle(job)
		return nil
	}
	pool, err := gue.NewWorkerPool(g.client, gue.WorkMap{"job": run}, gueWorkers, gue.WithPoolPollInterval(20*time.Millisecond),
		gue.WithPoolPollStrategy(gue.RunAtPollStrategy), gue.WithPoolGracefulShutdown(context.Background))
	if err != nil {
		return err
	}
	return pool.Run(ctx)
}

func (g *gueQueue) Close() { g.pool.Close() }
