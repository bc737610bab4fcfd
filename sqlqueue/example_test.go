package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

// openQueue returns a queue in a database in memory.
func openQueue() (q *sqlqueue.Queue, done func()) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1) // each connection to :memory: is a database of its own
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(context.Background()); err != nil {
		log.Fatal(err)
	}
	if q, err = sqlitequeue.New(db, sqlqueue.Config{}); err != nil {
		log.Fatal(err)
	}
	return q, func() { _ = db.Close() }
}

// printJobs prints the jobs of a queue.
func printJobs(q *sqlqueue.Queue) {
	jobs, err := operator.New(q).Jobs(context.Background(), operator.JobFilter{})
	if err != nil {
		log.Fatal(err)
	}
	for _, j := range jobs {
		wait := ""
		if d := time.Until(j.AvailableAt).Round(time.Minute); d > 0 {
			wait = " in " + d.String()
		}
		fmt.Printf("%d %s %d %s%s\n", j.ID, j.Queue, j.Priority, j.Payload, wait)
	}
}

// pushOne pushes a job and prints its row.
func pushOne(options ...sqlqueue.PushOption) {
	q, done := openQueue()
	defer done()
	if _, err := q.Push(context.Background(), SendInvoice{42}, options...); err != nil {
		fmt.Println(err)
	}
	printJobs(q)
}

func ExampleQueue_Push() {
	pushOne()
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42}}
}

func ExampleQueue_PushMany() {
	q, done := openQueue()
	defer done()
	ids, err := q.PushMany(context.Background(), []sqlqueue.Pushable{
		SendInvoice{1}, sqlqueue.With(SendInvoice{2}, sqlqueue.OnQueue("mail")),
	})
	fmt.Println(ids, err)
	printJobs(q)
	// Output:
	// [1 2] <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":1}}
	// 2 mail 0 {"job":"send_invoice","data":{"order_id":2}}
}

// A job for a handler in another program needs no type.
func ExampleNamed() {
	q, done := openQueue()
	defer done()
	_, err := q.Push(context.Background(), sqlqueue.Named("resize", map[string]any{"width": 800}))
	fmt.Println(err)
	printJobs(q)
	// Output:
	// <nil>
	// 1 default 0 {"job":"resize","data":{"width":800}}
}

func ExampleOnQueue() {
	pushOne(sqlqueue.OnQueue("mail", "archive")) // one job in each, in one transaction
	// Output:
	// 1 mail 0 {"job":"send_invoice","data":{"order_id":42}}
	// 2 archive 0 {"job":"send_invoice","data":{"order_id":42}}
}

func ExampleDelay() {
	pushOne(sqlqueue.Delay(10 * time.Minute))
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42}} in 10m0s
}

// The zero time is an error: most likely it was forgotten.
func ExampleAt() {
	pushOne(sqlqueue.At(time.Now().Add(time.Hour)))
	pushOne(sqlqueue.At(time.Time{}))
	// Output:
	// 1 default 0 {"job":"send_invoice","data":{"order_id":42}} in 1h0m0s
	// sqlqueue: push: At has the zero time: give the time when the job is to be available, or leave it out for now
}

func ExamplePriority() {
	pushOne(sqlqueue.Priority(-10)) // before those with 0
	// Output: 1 default -10 {"job":"send_invoice","data":{"order_id":42}}
}

func ExampleTries() {
	pushOne(sqlqueue.Tries(3))
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"tries":3}
}

func ExampleTimeout() {
	pushOne(sqlqueue.Timeout(90 * time.Second))
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"timeout":90}
}

func ExampleBackoffList() {
	pushOne(sqlqueue.BackoffList(time.Second, 10*time.Second, time.Minute)) // and a minute from then on
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"backoff":[1,10,60]}
}

func ExampleMaxExceptions() {
	pushOne(sqlqueue.Tries(0), sqlqueue.MaxExceptions(3)) // any number of releases, three errors
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"tries":0,"max_exceptions":3}
}

func ExampleKeep() {
	pushOne(sqlqueue.Keep(time.Hour)) // for Queue.Wait, and for operators
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"keep":3600}
}

func ExampleRetryUntil() {
	pushOne(sqlqueue.RetryUntil(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)))
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"retry_until":"2100-01-01T00:00:00Z"}
}

// Without a Config.Runner there is nothing that could run the job.
func ExampleSync() {
	pushOne(sqlqueue.Sync())
	// Output: sqlqueue: push: sync mode needs handlers: set Config.Runner
}

func ExampleThen() {
	pushOne(sqlqueue.Then(sqlqueue.Named("archive", nil))) // pushed when the invoice has been sent
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"then":[{"job":"archive","data":null}]}
}

func ExampleCatch() {
	pushOne(sqlqueue.Catch(sqlqueue.Named("call_customer", nil))) // pushed when it has failed for good
	// Output: 1 default 0 {"job":"send_invoice","data":{"order_id":42},"catch":[{"job":"call_customer","data":null}]}
}

func ExampleChain() {
	q, done := openQueue()
	defer done()
	_, err := q.Push(context.Background(),
		sqlqueue.Chain(sqlqueue.Named("download", 1), sqlqueue.Named("convert", 2), sqlqueue.Named("upload", 3)))
	fmt.Println(err)
	printJobs(q)
	// Output:
	// <nil>
	// 1 default 0 {"job":"download","data":1,"then":[[{"job":"convert","data":2},{"job":"upload","data":3}]]}
}

// pushTwice pushes the job two times, and prints what became of the second.
func pushTwice(options ...sqlqueue.PushOption) {
	q, done := openQueue()
	defer done()
	for n := range int64(2) {
		p, err := q.TryPush(context.Background(), SendInvoice{42 + n}, options...)
		fmt.Println(p.ID, p.Duplicate, err)
	}
	printJobs(q)
}

func ExampleUnique() {
	pushTwice(sqlqueue.Unique("invoice 42")) // while the first is not done
	// Output:
	// 1 false <nil>
	// 1 true <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":42}}
}

func ExampleUniqueByData() {
	pushTwice(sqlqueue.UniqueByData("order_id")) // two orders
	// Output:
	// 1 false <nil>
	// 2 false <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":42}}
	// 2 default 0 {"job":"send_invoice","data":{"order_id":43}}
}

// A second one can be pushed as soon as the first runs, so that what changed meanwhile is not missed.
func ExampleUniqueUntilStarted() {
	pushTwice(sqlqueue.Unique("index"), sqlqueue.UniqueUntilStarted())
	// Output:
	// 1 false <nil>
	// 1 true <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":42}}
}

// At most one in a minute, also when the first is done.
func ExampleUniqueFor() {
	pushTwice(sqlqueue.Unique("report"), sqlqueue.UniqueFor(time.Minute))
	// Output:
	// 1 false <nil>
	// 1 true <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":42}}
}

// The newest data counts.
func ExampleReplace() {
	pushTwice(sqlqueue.Unique("invoice"), sqlqueue.Replace())
	// Output:
	// 1 false <nil>
	// 1 false <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":43}}
}

// The job runs when nothing was pushed for five minutes, or an hour after the first push.
func ExampleDebounce() {
	pushTwice(sqlqueue.Unique("index"), sqlqueue.Debounce(5*time.Minute, time.Hour))
	// Output:
	// 1 false <nil>
	// 1 false <nil>
	// 1 default 0 {"job":"send_invoice","data":{"order_id":43}} in 5m0s
}
