package cli

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/run"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// env is what the commands of one tree share.
type env struct {
	options  Options
	settings *settings.Settings
	database *open.Database // the last one that was opened
}

// open opens the database of the flags, the environment or the Options, without connecting. With create, SQLite's file need not be
// there.
func (e *env) open(create bool) (*open.Database, error) {
	config := e.options.Config
	config.Prefix, config.Schema, config.Queue = e.settings.Prefix, e.settings.Schema, e.settings.Queue
	keys, err := e.settings.EncryptionKeys()
	if err != nil {
		return nil, err
	}
	if keys != nil {
		config.Cipher = keys
	}
	notice := e.settings.DefaultNotice()
	d, err := open.Open(open.Settings{DSN: e.settings.DSN, From: e.settings.DSNFrom(), Config: config}, create)
	if err != nil {
		return nil, err
	}
	e.settings.Say(notice)
	e.database = d
	return d, nil
}

// where names the database that is open, for people: its server and its name, or its file, and the schema and the prefix of the tables.
func (e *env) where() string {
	where := e.database.String()
	if e.settings.Schema != "" {
		where += fmt.Sprintf(", schema %q", e.settings.Schema)
	}
	if e.settings.Prefix != "" {
		where += fmt.Sprintf(", prefix %q", e.settings.Prefix)
	}
	return where
}

// working returns what runs jobs, before its flags are made.
func (e *env) working() *run.Work {
	return run.New(run.Program{
		Mux: e.options.Mux, Codec: e.options.Config.Codec, Worker: e.options.Worker, Queue: e.settings.Queue,
		Open: func() (*open.Database, error) { return e.open(false) },
	})
}

// withQueue runs do with the queue of a database that answers and has the right tables.
func (e *env) withQueue(ctx context.Context, do func(*sqlqueue.Queue) error) error {
	d, err := e.open(false)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Connect(ctx); err != nil {
		return err
	}
	if err := d.Queue.Check(ctx); err != nil {
		return err
	}
	return do(d.Queue)
}

// withOperator runs do with the Operator of a database that answers and has the right tables. What it changes is written down, with who did
// it.
func (e *env) withOperator(ctx context.Context, do func(*operator.Operator) error) error {
	return e.withQueue(ctx, func(q *sqlqueue.Queue) error { return do(operator.New(q).As(whoami(), "cli")) })
}
