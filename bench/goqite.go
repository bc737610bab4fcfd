package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"maragu.dev/goqite"
)

type goqiteQueue struct {
	db    *sql.DB
	queue *goqite.Queue
}

func openGoqite(ctx context.Context, dsn string, setup bool) (queue, error) {
	db, err := openDB(ctx, sqlite, dsn, false)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // as its documentation does
	if setup {
		if err := goqite.Setup(ctx, db); err != nil {
			return nil, err
		}
	}
	return &goqiteQueue{db, goqite.New(goqite.NewOpts{DB: db, Name: "job", Timeout: time.Minute})}, nil
}

func (g *goqiteQueue) Push(ctx context.Context, jobs []args, delay time.Duration) (err error) {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreDone(tx.Rollback())) }()
	for _, job := range jobs {
		body, err := json.Marshal(job)
		if err != nil {
			return err
		}
		if err := g.queue.SendTx(ctx, tx, goqite.Message{Body: body, Delay: delay}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Work receives and deletes. Its package jobs, which polls by a ticker, would be slower.
func (g *goqiteQueue) Work(ctx context.Context, _ int, handle func(args)) error {
	for ctx.Err() == nil {
		message, err := g.queue.Receive(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if message == nil {
			wait(ctx, time.Millisecond)
			continue
		}
		var job args
		if err := json.Unmarshal(message.Body, &job); err != nil {
			return err
		}
		handle(job)
		if err := g.queue.Delete(context.WithoutCancel(ctx), message.ID); err != nil {
			return err
		}
	}
	return nil
}

func (g *goqiteQueue) Close() { _ = g.db.Close() }
