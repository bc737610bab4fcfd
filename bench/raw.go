package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// bare is the SQL that a queue could not do without, and nothing else: no fence, no expiry, no heartbeat, no retries, one queue. Handlers
// are called by the loop itself. It is the limit that sqlqueue is measured against.
type bare struct{ pool *pgxpool.Pool }

const (
	bareBatch = 1000
	bareLoops = 2
)

func openBare(ctx context.Context, dsn string, setup bool) (queue, error) {
	pool, err := openPool(ctx, dsn, setup)
	return &bare{pool}, err
}

func (b *bare) Push(ctx context.Context, jobs []args, delay time.Duration) error {
	payloads, err := payloads(jobs)
	if err != nil {
		return err
	}
	_, err = b.pool.Exec(ctx, `
INSERT INTO jobs (queue, payload, available_at)
SELECT 'default', p::json, clock_timestamp() + $2 * interval '1 microsecond' FROM unnest($1::text[]) AS p`, payloads, delay.Microseconds())
	return err
}

func payloads(jobs []args) ([]string, error) {
	payloads := make([]string, len(jobs))
	for i, job := range jobs {
		data, err := json.Marshal(job)
		if err != nil {
			return nil, err
		}
		payloads[i] = `{"job":"job","data":` + string(data) + `}`
	}
	return payloads, nil
}

func (b *bare) Work(ctx context.Context, _ int, handle func(args)) error {
	var wg sync.WaitGroup
	var errs [bareLoops]error
	for i := range errs {
		wg.Go(func() { errs[i] = b.loop(ctx, handle) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

func (b *bare) loop(ctx context.Context, handle func(args)) error {
	var done []int64
	mark := time.Unix(0, 0)
	for last := false; ; {
		last = ctx.Err() != nil
		limit := bareBatch
		if last {
			limit = 0
		}
		reserved, jobs, err := b.exchange(context.WithoutCancel(ctx), done, limit, &mark)
		if err != nil || last && len(done) == 0 {
			return err
		}
		for _, job := range jobs {
			handle(job)
		}
		if done = reserved; len(done) == 0 {
			mark = time.Unix(0, 0)
			wait(ctx, time.Millisecond)
		}
	}
}

// exchange deletes what is done and reserves what is next, from mark on, in one round trip.
func (b *bare) exchange(ctx context.Context, done []int64, limit int, mark *time.Time) (ids []int64, jobs []args, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN`)
	if len(done) > 0 {
		batch.Queue(`DELETE FROM jobs WHERE id = ANY ($1)`, done)
	}
	if limit > 0 {
		batch.Queue(`
UPDATE jobs SET reserved = true, attempts = attempts + 1, reserved_at = clock_timestamp(), reserved_by = 'bare',
    expires_at = clock_timestamp() + interval '60 s'
WHERE id = ANY (ARRAY(
    SELECT id FROM jobs
    WHERE queue = 'default' AND priority = 0 AND NOT reserved AND available_at >= $2 AND available_at <= statement_timestamp()
    ORDER BY available_at, id LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING id, available_at, payload::text`, limit, *mark).Query(func(rows pgx.Rows) error {
			var id int64
			var at time.Time
			var payload []byte
			for rows.Next() {
				if err := rows.Scan(&id, &at, &payload); err != nil {
					return err
				}
				var p struct{ Data args }
				if err := json.Unmarshal(payload, &p); err != nil {
					return err
				}
				if at.After(*mark) {
					*mark = at
				}
				ids, jobs = append(ids, id), append(jobs, p.Data)
			}
			return rows.Err()
		})
	}
	batch.Queue(`COMMIT`)
	return ids, jobs, b.pool.SendBatch(ctx, batch).Close()
}

func (b *bare) Close() { b.pool.Close() }
