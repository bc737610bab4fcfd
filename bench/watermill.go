package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
)

const watermillLeft = "SELECT count(*) FROM watermill_job WHERE `offset` > (SELECT offset_acked FROM watermill_offsets_job)"

type watermillQueue struct {
	db        *sql.DB
	publisher *watermillsql.Publisher
	config    watermillsql.SubscriberConfig
}

// openWatermill opens a log of messages, with the place in it up to which they are done: nothing is deleted.
func openWatermill(tuned bool) func(context.Context, string, bool) (queue, error) {
	return func(ctx context.Context, dsn string, setup bool) (queue, error) {
		db, err := openMariaDB(dsn)
		if err != nil {
			return nil, err
		}
		w := &watermillQueue{db: db, config: watermillsql.SubscriberConfig{
			SchemaAdapter: watermillsql.DefaultMySQLSchema{}, OffsetsAdapter: watermillsql.DefaultMySQLOffsetsAdapter{},
		}}
		if tuned {
			w.config.SchemaAdapter = watermillsql.DefaultMySQLSchema{SubscribeBatchSize: 1000}
			w.config.OffsetsAdapter = unguardedOffsets{}
			w.config.PollInterval = 2 * time.Millisecond
		}
		if setup {
			if err := w.setup(ctx); err != nil {
				return nil, err
			}
		}
		w.publisher, err = watermillsql.NewPublisher(watermillsql.BeginnerFromStdSQL(db), watermillsql.PublisherConfig{
			SchemaAdapter: w.config.SchemaAdapter,
		}, nil)
		return w, err
	}
}

// setup makes the tables, and the row that subscribers lock: with it there, none of them takes what another has.
func (w *watermillQueue) setup(ctx context.Context) error {
	subscriber, err := w.subscriber()
	if err != nil {
		return err
	}
	if err := subscriber.SubscribeInitialize("job"); err != nil {
		return err
	}
	_, err = w.db.ExecContext(ctx, "INSERT INTO watermill_offsets_job (consumer_group, offset_acked, offset_consumed) VALUES ('', 0, 0)")
	return err
}

func (w *watermillQueue) subscriber() (*watermillsql.Subscriber, error) {
	return watermillsql.NewSubscriber(watermillsql.BeginnerFromStdSQL(w.db), w.config, nil)
}

// unguardedOffsets does without the write for each message, as the package's own for PostgreSQL does.
type unguardedOffsets struct {
	watermillsql.DefaultMySQLOffsetsAdapter
}

func (unguardedOffsets) ConsumedMessageQuery(watermillsql.ConsumedMessageQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{}, nil
}

func (w *watermillQueue) Push(_ context.Context, jobs []args, delay time.Duration) error {
	if delay > 0 {
		return errors.New("watermill-sql delays nothing on MySQL")
	}
	messages := make([]*message.Message, len(jobs))
	for i, job := range jobs {
		data, err := json.Marshal(job)
		if err != nil {
			return err
		}
		messages[i] = message.NewMessage(watermill.NewUUID(), data)
	}
	return w.publisher.Publish("job", messages...)
}

func (w *watermillQueue) Work(ctx context.Context, _ int, handle func(args)) error {
	subscriber, err := w.subscriber()
	if err != nil {
		return err
	}
	messages, err := subscriber.Subscribe(context.WithoutCancel(ctx), "job")
	if err != nil {
		return err
	}
	closed := make(chan error, 1)
	go func() {
		<-ctx.Done()
		wait(context.WithoutCancel(ctx), 20*time.Millisecond) // Close may win over an Ack that was just given
		closed <- subscriber.Close()
	}()
	for m := range messages {
		var job args
		if err := json.Unmarshal(m.Payload, &job); err != nil {
			return err
		}
		handle(job)
		m.Ack()
	}
	return <-closed
}

func (w *watermillQueue) Close() { _ = w.db.Close() }
