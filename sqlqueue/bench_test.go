package sqlqueue_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// nowhere is a Store that takes everything and keeps nothing, so that what the Queue itself costs can be seen.
type nowhere struct{ driver.Store }

func (nowhere) Push(_ context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	return make([]driver.Pushed, len(jobs)), nil
}

type letter struct {
	Text string `json:"text"`
}

func (letter) JobName() string { return "send_letter" }

func pushThousand(tb testing.TB) func() {
	tb.Helper()
	q, err := sqlqueue.New(nowhere{}, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	jobs := make([]sqlqueue.Pushable, 1000)
	for i := range jobs {
		jobs[i] = letter{strings.Repeat("x", 80)}
	}
	return func() {
		if _, err := q.PushMany(tb.Context(), jobs); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkPushMany is what a batch of 1,000 costs before it reaches the database.
func BenchmarkPushMany(b *testing.B) {
	push := pushThousand(b)
	b.ReportAllocs()
	for b.Loop() {
		push()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/job")
}

// What a job costs before it reaches the database must not grow unseen: its data, its payload and its row, and what JSON needs for itself.
func TestPushAllocations(t *testing.T) {
	const most = 6 // 3 without the race detector
	if got := testing.AllocsPerRun(20, pushThousand(t)) / 1000; got > most {
		t.Errorf("%.1f allocations for each job, want at most %d", got, most)
	}
}
