package sqlqueue_test

import (
	"errors"
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
