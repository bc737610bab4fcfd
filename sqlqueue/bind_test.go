package sqlqueue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// around is a store that wraps another, and the ones that it is bound to.
type around struct {
	sqlqueue.Store
	refuses error
}

func (a *around) Unwrap() sqlqueue.Store { return a.Store }

func (a *around) Bind(bind func(sqlqueue.Store) (sqlqueue.Store, error)) (sqlqueue.Store, error) {
	if a.refuses != nil {
		return nil, a.refuses
	}
	inner, err := bind(a.Store)
	return &around{Store: inner}, err
}

// TestAStoreBindsItself: a store with a method Bind decides what it is bound to.
func TestAStoreBindsItself(t *testing.T) {
	plain, bound := &rows{}, &rows{}
	bind := func(s sqlqueue.Store) (sqlqueue.Store, error) {
		if s != sqlqueue.Store(plain) {
			t.Errorf("bind was given a %T, want what is wrapped", s)
		}
		return bound, nil
	}
	q, err := sqlqueue.New(&around{Store: plain}, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	q.Bind(bind).Bind(func(s sqlqueue.Store) (sqlqueue.Store, error) {
		asked = true
		if s != sqlqueue.Store(bound) {
			t.Errorf("the second bind was given a %T, want what the first has returned", s)
		}
		return s, nil
	})
	if !asked {
		t.Error("the second bind was not asked")
	}

	refuses := errors.New("not while it rains")
	if q, err = sqlqueue.New(&around{refuses: refuses}, sqlqueue.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Bind(bind).Push(t.Context(), invoice{}); !errors.Is(err, refuses) {
		t.Errorf("got %v, want %v", err, refuses)
	}
}

// TestANilQueueIsBoundToNothing: an application that forgot to set its queue gets an error from every operation, no panic.
func TestANilQueueIsBoundToNothing(t *testing.T) {
	var none *sqlqueue.Queue
	ctx := t.Context()
	bound := none.Bind(func(s sqlqueue.Store) (sqlqueue.Store, error) { return &rows{}, nil })
	again := bound.Bind(func(s sqlqueue.Store) (sqlqueue.Store, error) { return &rows{}, nil })
	for _, q := range []*sqlqueue.Queue{bound, again} {
		q.OnPush([]string{"default"}, func() {})()
		_ = q.Config()
		job := sqlqueue.Job{ID: 1, ReservedBy: "w-1"}
		for what, do := range map[string]func() error{
			"Check":    func() error { return q.Check(ctx) },
			"Push":     func() error { _, err := q.Push(ctx, invoice{}); return err },
			"Jobs":     func() error { _, err := q.Jobs(ctx, sqlqueue.JobFilter{}); return err },
			"Edit":     func() error { return q.Edit(ctx, 1, sqlqueue.JobEdit{Data: 1}) },
			"Hold":     func() error { return q.Hold(ctx, job) },
			"Delete":   func() error { return q.Delete(ctx, job) },
			"Exchange": func() error { _, err := q.Exchange(ctx, sqlqueue.Exchange{}); return err },
			"Listen":   func() error { return q.Listen(ctx, []string{"default"}, func() {}) },
			"Queues":   func() error { _, err := q.Queues(ctx, 0); return err },
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), "the queue is nil") {
				t.Errorf("%s: got %v, want that the queue is nil", what, err)
			}
		}
	}
}
