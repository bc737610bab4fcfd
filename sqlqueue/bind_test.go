package sqlqueue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// around is a store that wraps another, and the ones that it is bound to.
type around struct {
	driver.Store
	refuses error
}

func (a *around) Unwrap() driver.Store { return a.Store }

func (a *around) Bind(bind func(driver.Store) (driver.Store, error)) (driver.Store, error) {
	if a.refuses != nil {
		return nil, a.refuses
	}
	inner, err := bind(a.Store)
	return &around{Store: inner}, err
}

// TestAStoreBindsItself: a store with a method Bind decides what it is bound to.
func TestAStoreBindsItself(t *testing.T) {
	plain, bound := &rows{}, &rows{}
	bind := func(s driver.Store) (driver.Store, error) {
		if s != driver.Store(plain) {
			t.Errorf("bind was given a %T, want what is wrapped", s)
		}
		return bound, nil
	}
	q, err := sqlqueue.New(&around{Store: plain}, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	q.Bind(bind).Bind(func(s driver.Store) (driver.Store, error) {
		asked = true
		if s != driver.Store(bound) {
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
	bound := none.Bind(func(driver.Store) (driver.Store, error) { return &rows{}, nil })
	again := bound.Bind(func(driver.Store) (driver.Store, error) { return &rows{}, nil })
	for _, q := range []*sqlqueue.Queue{bound, again} {
		q.OnPush([]string{"default"}, func() {})()
		_ = q.Config()
		job := sqlqueue.Job{ID: 1, ReservedBy: "w-1"}
		for what, do := range map[string]func() error{
			"Check":    func() error { return q.Check(ctx) },
			"Push":     func() error { _, err := q.Push(ctx, invoice{}); return err },
			"Jobs":     func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{}); return err },
			"Edit":     func() error { return operator.New(q).Edit(ctx, 1, operator.JobEdit{Data: 1}) },
			"Hold":     func() error { return q.Hold(ctx, job) },
			"Delete":   func() error { return q.Delete(ctx, job) },
			"Exchange": func() error { _, err := q.Exchange(ctx, driver.Exchange{}); return err },
			"Listen":   func() error { return q.Listen(ctx, []string{"default"}, func() {}) },
			"Queues":   func() error { _, err := operator.New(q).Queues(ctx, 0); return err },
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), "the queue is nil") {
				t.Errorf("%s: got %v, want that the queue is nil", what, err)
			}
		}
	}
}
