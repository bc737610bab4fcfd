package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Bench measures a store with payloads of about 100 bytes: pushes, single and a thousand at once, and exchanges that settle n jobs and
// reserve n others, by one client. It reports jobs/s.
func Bench(b *testing.B, open func(tb testing.TB) Database) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("push/%d", n), func(b *testing.B) { benchPush(b, open(b), n) })
	}
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("exchange/%d", n), func(b *testing.B) { benchExchange(b, open(b), n) })
	}
}

func benchJobs(n int) []sqlqueue.Pushable {
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("bench", strings.Repeat("x", 75))
	}
	return jobs
}

func benchPush(b *testing.B, db Database, n int) {
	q, jobs := db.Open(b), benchJobs(n)
	b.ResetTimer()
	for range b.N {
		if _, err := q.PushMany(b.Context(), jobs); err != nil {
			b.Fatal(err)
		}
	}
	reportJobs(b, n)
}

func benchExchange(b *testing.B, db Database, n int) {
	q := db.Open(b)
	const stock = 20_000
	jobs := benchJobs(1000)
	left := 0
	var settle []driver.Settlement
	b.ResetTimer()
	for i := range b.N {
		if left < n {
			b.StopTimer()
			for ; left < min(stock, n*b.N); left += len(jobs) {
				if _, err := q.PushMany(b.Context(), jobs); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		answer, err := q.Exchange(b.Context(), driver.Exchange{
			Settle: settle, Number: fmt.Sprintf("bench-%d", i), Limit: n, Requeue: 100, Reserve: from("default"),
		})
		if err != nil {
			b.Fatal(err)
		}
		if len(answer.Reserved) != n || len(answer.Lost)+len(answer.Locked) > 0 {
			b.Fatalf("reserved %d of %d, lost %d, locked %d", len(answer.Reserved), n, len(answer.Lost), len(answer.Locked))
		}
		left -= n
		settle = settle[:0]
		for _, j := range answer.Reserved {
			settle = append(settle, done(j))
		}
	}
	reportJobs(b, n)
}

func reportJobs(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
