package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const riverLeft = `SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'scheduled', 'discarded')`

const riverFailed = `
INSERT INTO river_job (args, kind, state, attempt, max_attempts, attempted_at, finalized_at, errors)
SELECT '{"t":1,"pad":"x"}', 'job', 'discarded', 25, 25, now(), now(), ARRAY['{"error":"smtp: connection refused"}'::jsonb] ` +
	`FROM generate_series(1, %d)`

const riverCooldown = 2 * time.Millisecond

// riverLogger is its own but for the place: standard output is the runner's.
var riverLogger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

type riverQueue struct {
	pool   *pgxpool.Pool
	insert *river.Client[pgx.Tx]
	tuned  int // workers; 0: as it comes
}

// openRiver opens it with so many workers, 0 for all as it comes. The cool-down of the inserting client bounds how often it notifies.
func openRiver(tuned int, cooldown time.Duration) func(context.Context, string, bool) (queue, error) {
	return func(ctx context.Context, dsn string, setup bool) (queue, error) {
		pool, err := openPool(ctx, dsn, false)
		if err != nil {
			return nil, err
		}
		if setup {
			migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
			if err != nil {
				return nil, err
			}
			if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
				return nil, err
			}
		}
		insert, err := river.NewClient(riverpgxv5.New(pool), &river.Config{FetchCooldown: cooldown, Logger: riverLogger})
		return &riverQueue{pool, insert, tuned}, err
	}
}

func (r *riverQueue) Push(ctx context.Context, jobs []args, delay time.Duration) error {
	var options *river.InsertOpts
	if delay > 0 {
		options = &river.InsertOpts{ScheduledAt: time.Now().Add(delay)}
	}
	if len(jobs) == 1 {
		_, err := r.insert.Insert(ctx, jobs[0], options)
		return err
	}
	many := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		many[i] = river.InsertManyParams{Args: job, InsertOpts: options}
	}
	_, err := r.insert.InsertManyFast(ctx, many)
	return err
}

func (r *riverQueue) Work(ctx context.Context, concurrency int, handle func(args)) error {
	config := &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers: river.NewWorkers(),
		Logger:  riverLogger,
	}
	if r.tuned > 0 {
		config.Queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: r.tuned}
		config.FetchCooldown = riverCooldown
	}
	if concurrency > 0 {
		config.Queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: concurrency}
	}
	river.AddWorker(config.Workers, river.WorkFunc(func(_ context.Context, job *river.Job[args]) error {
		handle(job.Args)
		return nil
	}))
	client, err := river.NewClient(riverpgxv5.New(r.pool), config)
	if err != nil {
		return err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	return client.Stop(context.WithoutCancel(ctx))
}

func (r *riverQueue) Close() { r.pool.Close() }
