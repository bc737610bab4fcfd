package operator

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Reencrypted is what Reencrypt has done.
type Reencrypted struct {
	Changed    int `json:"changed"`    // rows that are now encrypted with the first key
	Left       int `json:"left"`       // rows that a worker or somebody else had at that moment: try again later
	Unreadable int `json:"unreadable"` // rows whose key is not there, or that were tampered with
}

// Reencrypt encrypts all data of jobs with the key that encrypts now, also what is not encrypted yet: of jobs that no worker has,
// failed jobs, schedules and what batches push, a hundred rows in a transaction. When nothing is left, the other keys can be taken
// away. It may be interrupted and called again. Progress is called after each transaction with the number of rows so far. The error is
// sqlqueue.ErrNoKey if the Queue has no Cipher; rows that cannot be read are counted, and are no error.
func (o *Operator) Reencrypt(ctx context.Context, progress ...func(changed int)) (Reencrypted, error) {
	var done Reencrypted
	if o.queue.Config().Cipher == nil {
		return done, wrap("reencrypt", fmt.Errorf("the program has no keys: %w", sqlqueue.ErrNoKey))
	}
	t, err := o.open(ctx)
	if err != nil {
		return done, wrap("reencrypt", err)
	}
	r := &reencryption{tables: t, queue: o.queue, progress: progress}
	for _, table := range []struct{ name, column, condition, hint string }{
		{"jobs", "payload", " AND NOT reserved", t.Dialect.Paged},
		{"failed_jobs", "payload", "", ""},
		{"job_batches", "on_success", "", ""},
		{"job_batches", "on_finish", "", ""},
		{"job_batches", "on_failure", "", ""},
	} {
		by := reencryptBy[int64]{r, table.name, "id", table.column, table.condition, table.hint}
		if err := by.all(ctx, 0); err != nil {
			return r.done, wrap("reencrypt", err)
		}
	}
	schedules := reencryptBy[string]{r, "job_schedules", "name", "payload", "", ""}
	return r.done, wrap("reencrypt", schedules.all(ctx, ""))
}

type reencryption struct {
	*tables
	queue    *sqlqueue.Queue
	progress []func(int)
	done     Reencrypted
}

// reencryptBy reencrypts the JSON of one column of a table whose rows have keys of one kind.
type reencryptBy[K int64 | string] struct {
	*reencryption
	table, key, column string
	condition          string // of rows that may be changed
	hint               string // stands after the table's name where it is read by key
}

// all goes through the rows by their keys, and changes those that are not as they should be.
func (r reencryptBy[K]) all(ctx context.Context, after K) error {
	const page = 100
	for {
		s := r.selectRows(r.hint)
		s.Add(" WHERE %s > %s AND %s IS NOT NULL ORDER BY %s LIMIT %d", r.key, s.Arg(after), r.column, r.key, page)
		n := 0
		var old []K
		err := r.each(ctx, r.DB, s, func(key K, text []byte) {
			n, after = n+1, key
			made, err := r.queue.ReencryptPayload(text)
			switch {
			case err != nil:
				r.done.Unreadable++
			case !bytes.Equal(made, text):
				old = append(old, key)
			}
		})
		if err == nil && len(old) > 0 {
			err = r.change(ctx, old)
		}
		if err != nil || n < page {
			return err
		}
	}
}

// change locks the rows, and writes them. What somebody else has locked, or what may not be changed any more, is left.
func (r reencryptBy[K]) change(ctx context.Context, keys []K) error {
	var written int
	err := r.Tx(ctx, change{"reencrypt", "", map[string]any{"table": r.table, r.key: keys}}, func(db sqldb.DB) (int, error) {
		written = 0
		s := r.selectRows(r.Dialect.ByID)
		places := make([]string, len(keys))
		for i, key := range keys {
			places[i] = s.Arg(key)
		}
		s.Add(" WHERE %s IN (%s)%s ORDER BY %s %s", r.key, strings.Join(places, ", "), r.condition, r.key, r.Dialect.SkipLocked)
		made := map[K][]byte{}
		var order []K
		if err := r.each(ctx, db, s, func(key K, text []byte) {
			if text, err := r.queue.ReencryptPayload(text); err == nil {
				made[key], order = text, append(order, key)
			}
		}); err != nil {
			return 0, err
		}
		for _, key := range order {
			s := r.statement("UPDATE %s%s SET ", r.Table(r.table), r.Dialect.ByID)
			s.Add("%s = %s", r.column, s.Arg(string(made[key])))
			s.Add(" WHERE %s = %s", r.key, s.Arg(key))
			if _, err := s.Exec(ctx, db); err != nil {
				return 0, err
			}
			written++
		}
		return written, nil
	})
	if err != nil {
		return err
	}
	r.done.Changed += written
	r.done.Left += len(keys) - written
	tell(r.progress, r.done.Changed)
	return nil
}

func (r reencryptBy[K]) selectRows(hint string) *statement {
	column := r.column
	if r.Dialect.Payload != "" {
		column = strings.ReplaceAll(r.Dialect.Payload, "payload", r.column)
	}
	return r.statement("SELECT %s, %s FROM %s%s", r.key, column, r.Table(r.table), hint)
}

func (r reencryptBy[K]) each(ctx context.Context, db sqldb.DB, s *statement, row func(key K, text []byte)) error {
	return s.Each(ctx, db, func(scan func(...any) error) error {
		var key K
		var text []byte
		err := scan(sqldb.Reading(&key, &text)...)
		if err == nil {
			row(key, slices.Clone(text))
		}
		return err
	})
}
