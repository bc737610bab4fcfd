package cli

import (
	"context"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// open opens the database of the flags, the environment or the Options, without connecting. With create, SQLite's file need not be
// there.
func (p *program) open(create bool) (*open.Database, error) {
	config := p.options.Config
	config.Prefix = p.prefix
	return open.Open(open.Settings{
		DSN:      p.dsn,
		FromFile: strings.HasPrefix(p.from[p.root.PersistentFlags().Lookup("dsn")], "file "),
		Config:   config,
	}, create)
}

// withQueue runs do with the queue of a database that answers and has the right tables.
func (p *program) withQueue(ctx context.Context, do func(*sqlqueue.Queue) error) error {
	d, err := p.open(false)
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

// withOperator runs do with the Operator of a database that answers and has the right tables.
func (p *program) withOperator(ctx context.Context, do func(*operator.Operator) error) error {
	return p.withQueue(ctx, func(q *sqlqueue.Queue) error { return do(operator.New(q)) })
}
