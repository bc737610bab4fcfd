package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// OperationsKept is how long operations are kept: later ones delete them.
const OperationsKept = 400 * 24 * time.Hour

// Operation is what somebody has changed. A change of many jobs is one for each of its transactions, of a thousand jobs at most.
type Operation struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Who      string    `json:"who"`
	Via      string    `json:"via"`      // by what: "cli" for the command line
	Action   string    `json:"action"`   // such as push, cancel, edit, retry, limit or pause schedule
	Queue    string    `json:"queue"`    // empty: it was not about one queue
	Target   string    `json:"target"`   // ids, conditions or new values, as JSON, cut to 2,000 characters
	Affected int64     `json:"affected"` // how many rows it has changed
	Note     string    `json:"note"`     // why; empty if that was not said
}

// OperationFilter selects operations. Conditions left at their zero value do not restrict.
type OperationFilter struct {
	Before int64 // only ids smaller than this: the last id of the page before
	Limit  int   // default 100, at most 1,000
}

// As returns an Operator of the same Queue whose changes are written into the table of operations, each in the transaction of the change:
// who makes them, and via what, such as a program, of which 191 characters are kept. With an empty who nothing is written. For pushes,
// schedules and batches see Queue.
func (o *Operator) As(who, via string) *Operator {
	return &Operator{queue: o.queue, who: textOf(who, 191), via: textOf(via, 191), undo: o.undo}
}

// Operations returns what was changed by Operators of As, the newest first, a page at a time. Those of 400 days are kept.
func (o *Operator) Operations(ctx context.Context, f OperationFilter) ([]Operation, error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkFilter(&f.Limit, nil)
	}
	if err != nil {
		return nil, wrap("operations", err)
	}
	s := t.statement("SELECT id, %s, who, via, action, queue, target, affected, note FROM %s",
		fmt.Sprintf(t.Dialect.Micros, "at"), t.Table("job_operations"))
	s.Add(" WHERE id < %s ORDER BY id DESC LIMIT %d", s.Arg(cmp.Or(f.Before, math.MaxInt64)), f.Limit)
	var found []Operation
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var of Operation
		err := scan(sqldb.Reading(&of.ID, &of.At, &of.Who, &of.Via, &of.Action, &of.Queue, &of.Target, &of.Affected, &of.Note)...)
		found = append(found, of)
		return err
	})
	return found, wrap("operations", err)
}

// change is what a transaction changes.
type change struct {
	action, queue string
	target        any // as JSON
}

// Tx runs a change in a transaction, and records it as an operation. F returns how many rows it has changed.
func (t *tables) Tx(ctx context.Context, c change, f func(db sqldb.DB) (affected int, err error)) error {
	return t.Database.Tx(ctx, func(db sqldb.DB) error {
		affected, err := f(db)
		if err != nil || affected == 0 || t.who == "" {
			return err
		}
		if err := t.record(ctx, db, c, affected); err != nil {
			return err
		}
		s := t.statement("SELECT id FROM %s%s", t.Table("job_operations"), t.Force("job_operations_at"))
		s.Add(" WHERE at < %s ORDER BY at LIMIT 100 %s", s.Ago(OperationsKept), t.Dialect.SkipLocked)
		return t.DeleteFound(ctx, db, "job_operations", s.Statement)
	})
}

// record writes an operation in the transaction of its change.
func (t *tables) record(ctx context.Context, db sqldb.DB, c change, affected int) error {
	target, err := json.Marshal(c.target)
	if err != nil {
		return err
	}
	s := t.statement("INSERT INTO %s (at, who, via, action, queue, target, affected) VALUES ", t.Table("job_operations"))
	s.Add("(%s, ", s.Now())
	s.Add("%s, %s, %s, %s, ", s.Arg(t.who), s.Arg(t.via), s.Arg(c.action), s.Arg(textOf(c.queue, 191)))
	s.Add("%s, %d)", s.Arg(textOf(string(target), 2000)), affected)
	_, err = s.Exec(ctx, db)
	return err
}

// textOf is the beginning of a text, at most so many characters, that every database takes.
func textOf(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	if characters := []rune(text); len(characters) > most {
		text = string(characters[:most])
	}
	return text
}

// conditions are those of a filter that restrict, by their names.
func conditions(all map[string]any) map[string]any {
	for name, value := range all {
		switch v := value.(type) {
		case string:
			if v == "" {
				delete(all, name)
			}
		case bool:
			if !v {
				delete(all, name)
			}
		case []int64:
			if v == nil {
				delete(all, name)
			}
		case []Field:
			if v == nil {
				delete(all, name)
			}
		case time.Duration:
			if all[name] = v.String(); v == 0 {
				delete(all, name)
			}
		case time.Time:
			if v.IsZero() {
				delete(all, name)
			}
		}
	}
	return all
}

func (f *JobFilter) conditions() map[string]any {
	return conditions(map[string]any{
		"ids": f.IDs, "state": string(f.State), "name": f.Name, "fields": f.Fields, "older_than": f.OlderThan,
		"created_after": f.CreatedAfter, "created_before": f.CreatedBefore,
	})
}

func (f *FailedFilter) conditions() map[string]any {
	return conditions(map[string]any{"ids": f.IDs, "name": f.Name, "error": f.Error, "older_than": f.OlderThan})
}

// action is what a change of jobs is called, and what it says of itself.
func (c *jobChange) action(f *JobFilter) change {
	target := f.conditions()
	switch {
	case c.Delete:
		if c.Undo != "" {
			target["undo"] = c.Undo
		}
		return change{"cancel", f.Queue, target}
	case c.Release:
		return change{"release", f.Queue, target}
	}
	if c.Queue != nil {
		target["to_queue"] = *c.Queue
	}
	if c.Priority != nil {
		target["to_priority"] = *c.Priority
	}
	if c.At != nil {
		target["to_time"] = *c.At
	}
	if c.Payload != nil {
		target["payload"] = "changed" // what it has may be a secret
	}
	return change{"edit", f.Queue, target}
}

// action tells what a change of controls says.
func (c *ControlChange) action(queue string) change {
	said := conditions(map[string]any{
		"pause": c.Pause, "for": c.PauseFor, "resume": c.Resume, "restart": c.Restart, "reset_expire": c.ResetExpire,
	})
	if c.Maintenance != nil {
		said["maintenance"] = *c.Maintenance
	}
	if c.Expire != nil {
		said["expire"] = c.Expire.String()
	}
	return change{"control", queue, said}
}
