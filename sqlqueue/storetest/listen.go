package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

var listenCases = []testCase{
	{
		"B8 a push of another is heard, once it is committed, and so is the last of many",
		"an idle worker begins at once, and not when it looks again",
		hearPushes,
	},
}

// hearPushes passes over a store that hears nothing and says so.
func hearPushes(f *fixture) {
	c, other := f.open(), f.open()
	ctx, cancel := context.WithCancel(f.Context())
	var last atomic.Int64 // when something was heard, by Go's clock
	ended := make(chan error, 1)
	go func() {
		ended <- c.Listen(ctx, []string{"mail", "default"}, func() { last.Store(time.Now().UnixNano()) })
	}()
	defer func() {
		cancel()
		if err := <-ended; err == nil {
			f.Errorf("Listen ended and does not say why")
		}
	}()
	var unsupported bool
	f.eventually("it begins to hear", func() bool {
		select {
		case err := <-ended:
			ended <- err
			if unsupported = errors.Is(err, errors.ErrUnsupported); !unsupported {
				f.Fatalf("it hears nothing: %v", err)
			}
		default:
		}
		return unsupported || last.Load() != 0
	})
	if unsupported {
		f.Log("this store does not hear of pushes")
		return
	}
	heardSince := func(what string, began time.Time) {
		f.Helper()
		f.eventually("it hears of "+what, func() bool { return last.Load() >= began.UnixNano() })
	}

	began := time.Now()
	other.push()
	heardSince("a push", began)
	for range 5 {
		for range 50 {
			began = time.Now()
			other.push()
		}
		heardSince("the last of many", began)
	}
	began = time.Now()
	_, err := other.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.OnQueue("mail"), sqlqueue.Unique("key"))
	f.must(err)
	heardSince("a push with a key", began)
	for _, way := range f.db.Transactions {
		bound, tx := other.begin(way)
		bound.push()
		_, err := bound.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.OnQueue("mail"))
		f.must(err)
		began = time.Now()
		f.must(tx.Commit(f.Context()))
		heardSince("a push in a transaction, by "+way.Name, began)
	}
}
