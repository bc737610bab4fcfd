package promqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

func TestWhatQueuesHoldIsMeasured(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	for _, options := range [][]sqlqueue.PushOption{
		{sqlqueue.OnQueue("mail")},
		{sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour)},
		{sqlqueue.OnQueue("import/b1")},
		{sqlqueue.OnQueue("import/b22")},
	} {
		if _, err := q.Push(t.Context(), sqlqueue.Named("a", nil), options...); err != nil {
			t.Fatal(err)
		}
	}
	if err := operator.New(q.Queue).Control(t.Context(), "mail", operator.ControlChange{Pause: true}); err != nil {
		t.Fatal(err)
	}
	const want = `
		# HELP sqlqueue_queue_jobs Jobs in a queue, counted to 10,000.
		# TYPE sqlqueue_queue_jobs gauge
		sqlqueue_queue_jobs{queue="import/b*",state="delayed"} 0
		sqlqueue_queue_jobs{queue="import/b*",state="failed"} 0
		sqlqueue_queue_jobs{queue="import/b*",state="ready"} 2
		sqlqueue_queue_jobs{queue="import/b*",state="reserved"} 0
		sqlqueue_queue_jobs{queue="mail",state="delayed"} 1
		sqlqueue_queue_jobs{queue="mail",state="failed"} 0
		sqlqueue_queue_jobs{queue="mail",state="ready"} 1
		sqlqueue_queue_jobs{queue="mail",state="reserved"} 0
		# HELP sqlqueue_queue_paused Whether the queue, or all queues, are paused or in maintenance.
		# TYPE sqlqueue_queue_paused gauge
		sqlqueue_queue_paused{queue="import/b*"} 0
		sqlqueue_queue_paused{queue="mail"} 1
		# HELP sqlqueue_up Whether the database has answered.
		# TYPE sqlqueue_up gauge
		sqlqueue_up 1
		# HELP sqlqueue_workers Workers that have registered; a dead one was not seen for 30 s.
		# TYPE sqlqueue_workers gauge
		sqlqueue_workers{state="dead"} 0
		sqlqueue_workers{state="live"} 0
`
	c := Collector(q.Queue)
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "sqlqueue_queue_jobs", "sqlqueue_queue_paused", "sqlqueue_up",
		"sqlqueue_workers"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// A queue that was seen stays at 0 when it is empty; above the limit queues count together, and those that are gone make room.
func TestQueuesAreBounded(t *testing.T) {
	t.Parallel()
	queues := func(from, to int) (l looked) {
		for i := from; i < to; i++ {
			l.queues = append(l.queues, operator.QueueInfo{Queue: fmt.Sprintf("q%04d", i), Ready: 1})
		}
		return l
	}
	c := &collector{known: map[string]bool{}}
	c.sums(queues(0, 10))
	if s := c.sums(queues(5, 10)); s["q0000"] == nil || s["q0000"].ready != 0 || len(s) != 10 {
		t.Errorf("queues that are empty now: %v", s)
	}
	s := c.sums(queues(5, 1000))
	if len(s) != mostQueues+1 || s[other].ready != 995-mostQueues || s["q0000"] != nil {
		t.Errorf("%d queues have series, %+v", len(s), s[other])
	}
}

// A database that hangs or refuses holds up no scrape, and nobody reads old numbers.
func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		var broken error
		release := make(chan struct{})
		c := &collector{known: map[string]bool{}, look: func(ctx context.Context) (looked, error) {
			if looks.Add(1) == 1 {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return looked{}, broken
		}}
		scrape := func(want string) {
			t.Helper()
			began := time.Now()
			text := "# HELP sqlqueue_up Whether the database has answered.\n# TYPE sqlqueue_up gauge\nsqlqueue_up " + want + "\n"
			if err := testutil.CollectAndCompare(c, strings.NewReader(text), "sqlqueue_up"); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("a scrape took %v", took)
			}
		}
		done := make(chan struct{})
		for range 9 {
			go func() {
				prometheus.DescribeByCollect(c, make(chan *prometheus.Desc, 100))
				done <- struct{}{}
			}()
		}
		scrape("0")
		for range 9 {
			<-done
		}
		if n := looks.Load(); n != 1 {
			t.Errorf("ten scrapes have looked %d times", n)
		}
		close(release)
		synctest.Wait()
		scrape("1") // the look of before
		broken = errors.New("away")
		scrape("1")
		time.Sleep(fresh) //nolint:forbidigo // in a bubble
		scrape("0")
		broken = nil
		scrape("1")
		if n := looks.Load(); n != 3 {
			t.Errorf("%d looks, want 3", n)
		}
	})
}
