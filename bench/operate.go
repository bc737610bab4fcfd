package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// operation is something that an operator does.
type operation struct {
	name string
	do   func(ctx context.Context) error
}

// operate measures what operators do beside a large table of jobs and one of failed jobs, in the process and by the command.
func operate(ctx context.Context, h *host, size size, rounds int, out io.Writer) (err error) {
	st, opened, err := h.openOwn(ctx)
	if err != nil {
		return err
	}
	defer func() { opened.Close(); err = errors.Join(err, st.close(ctx)) }()
	began := time.Now()
	if err := fillForOperators(ctx, st, size); err != nil {
		return err
	}
	log.Printf("the tables were filled in %v", time.Since(began).Round(time.Second))
	command, remove, err := buildCommand(ctx)
	if err != nil {
		return err
	}
	defer remove()

	_, _ = fmt.Fprintf(out,
		"## %s\n\n%s jobs in 5 queues of 3 priorities, a quarter of them delayed, %d reserved; %s failed jobs with errors of 20 kinds.\n"+
			"Each operation was done %d times.\n\n", h.engine, whole(size.jobs), size.jobs/reservedEvery, whole(size.beside), rounds)
	for _, line := range describe(ctx, h.admin, h.engine) {
		_, _ = fmt.Fprintf(out, "- %s\n", line)
	}
	for _, group := range []struct {
		title string
		of    []operation
	}{
		{"library", libraryOperations(opened.queue, size)},
		{"command", commandOperations(opened.queue, command, h.engine, st.dsn)},
	} {
		_, _ = fmt.Fprintf(out, "\n| %s | median | slowest |\n|---|--:|--:|\n", group.title)
		for _, o := range group.of {
			o.measure(ctx, rounds, out)
		}
	}
	return ctx.Err()
}

// slow is what is not measured again.
const slow = 3 * time.Second

// measure writes a row of the table.
func (o operation) measure(ctx context.Context, rounds int, out io.Writer) {
	var took []time.Duration
	for range rounds {
		began := time.Now()
		if err := o.do(ctx); err != nil {
			_, _ = fmt.Fprintf(out, "| %s | – | %s |\n", o.name, oneLine(err.Error()))
			return
		}
		if took = append(took, time.Since(began)); time.Since(began) > slow {
			break
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) string { return number(float64(d.Microseconds())/1000) + " ms" }
	_, _ = fmt.Fprintf(out, "| %s | %s | %s |\n", o.name, ms(took[(len(took)-1)/2]), ms(took[len(took)-1]))
}

func oneLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.ReplaceAll(line[:min(len(line), 100)], "|", "/")
}

const reservedEvery = 10_000

// filler fills a database by statements that number their rows.
type filler struct {
	*stage
	conn    *sql.Conn
	numbers string // gives n from the one number to the other
	ago     string // the time so many microseconds ago
	integer string // the type of numbers in a CAST
}

func newFiller(ctx context.Context, st *stage) (*filler, error) {
	conn, err := st.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	f := &filler{
		stage: st, conn: conn, integer: "integer",
		numbers: "generate_series(%d::bigint, %d::bigint) AS g (n)", ago: "now() - (%s) * interval '1 microsecond'",
	}
	switch st.host.engine {
	case mariadb:
		f.integer = "signed"
		f.numbers, f.ago = "(SELECT CAST(seq AS SIGNED) AS n FROM seq_%d_to_%d) AS g", "UTC_TIMESTAMP(6) - INTERVAL (%s) MICROSECOND"
		_, err = conn.ExecContext(ctx, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')")
	case sqlite:
		f.numbers = "(WITH RECURSIVE g (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM g WHERE n < %d) SELECT n FROM g) AS g"
		f.ago = fmt.Sprintf("%d - (%%s)", time.Now().UnixMicro())
	}
	return f, err
}

func (f *filler) payload(data string) string {
	text := `'{"job":"job-' || (n % 7) || '","data":{"id":' || n || '` + data + `,"pad":"` + pad + `"}}'`
	if f.host.engine == postgres {
		return "CAST(" + text + " AS json)"
	}
	return text
}

func (f *filler) at(micros string) string { return fmt.Sprintf(f.ago, micros) }

// spread is the time of the row n of so many, over two days.
func (f *filler) spread(rows int) string {
	return f.at(fmt.Sprintf("(%d - n) * %d", rows, 48*time.Hour.Microseconds()/int64(max(rows, 1))))
}

// fill inserts so many rows, by an INSERT that ends in FROM.
func (f *filler) fill(ctx context.Context, statement string, rows int) error {
	const batch = 100_000
	for from := 1; from <= rows; from += batch {
		if _, err := f.conn.ExecContext(ctx, statement+fmt.Sprintf(f.numbers, from, min(from+batch-1, rows))); err != nil {
			return err
		}
	}
	return nil
}

// analyze gives tables the statistics that they would have by and by.
func (f *filler) analyze(ctx context.Context, tables ...string) error {
	statement := map[string]string{
		postgres: "VACUUM ANALYZE ", mariadb: "ANALYZE TABLE ", sqlite: "PRAGMA wal_checkpoint(TRUNCATE) -- ",
	}[f.host.engine]
	_, err := f.conn.ExecContext(ctx, statement+strings.Join(tables, ", "))
	return err
}

// fillForOperators makes jobs and failed jobs of many kinds, as if they had been pushed over two days.
func fillForOperators(ctx context.Context, st *stage, size size) error {
	f, err := newFiller(ctx, st)
	if err != nil {
		return err
	}
	defer func() { _ = f.conn.Close() }()
	reserved := `CASE WHEN n % ` + fmt.Sprint(reservedEvery) + ` = 1 THEN `
	if err := f.fill(ctx,
		`INSERT INTO jobs (queue, priority, payload, available_at, created_at, reserved, reserved_at, reserved_by, expires_at)
SELECT 'queue-' || (n % 5), n % 3, `+f.payload(`,"user":{"id":' || (n % 1000) || '}`)+`,
	CASE WHEN n % 4 = 0 THEN `+f.at("n - 86400000000")+` ELSE `+f.spread(size.jobs)+` END, `+f.spread(size.jobs)+`,
	n % `+fmt.Sprint(reservedEvery)+` = 1, `+reserved+f.at("0")+` END, `+reserved+`'worker-' || n END, `+reserved+f.at("-3600000000")+
			` END FROM `,
		size.jobs); err != nil {
		return err
	}
	if err := f.fill(ctx, `INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
SELECT n, 'queue-' || (n % 5), 0, `+f.payload("")+`, 25, `+f.failure()+`, '', `+f.spread(size.beside)+`, `+f.spread(size.beside)+` FROM `,
		size.beside); err != nil {
		return err
	}
	return f.analyze(ctx, "jobs", "failed_jobs")
}

// failure is the error of row n: one of 20 kinds, and different from all others.
func (f *filler) failure() string {
	return `'kind ' || substr('abcdefghijklmnopqrst', CAST(n % 20 + 1 AS ` + f.integer + `), 1) || ': order ' || (n * 7919) ||
	': no answer from 10.1.' || (n % 251) || '.' || (n % 241) || ':443 after 30 s'`
}

// libraryOperations are what operators' programs ask of the library.
func libraryOperations(q *sqlqueue.Queue, size size) []operation {
	jobs := func(f operator.JobFilter) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).Jobs(ctx, f); return err }
	}
	count := func(f operator.JobFilter) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).CountJobs(ctx, f, 100_000); return err }
	}
	failed := func(f operator.FailedFilter) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).FailedJobs(ctx, f); return err }
	}
	groups := func(f operator.FailedFilter, most int) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).FailedGroups(ctx, f, most); return err }
	}
	queues := func(most int64) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).Queues(ctx, most); return err }
	}
	counts := func(since time.Duration) func(context.Context) error {
		return func(ctx context.Context) error { _, err := operator.New(q).Counts(ctx, since); return err }
	}
	// once ends a change of all that pass a filter after the first batch.
	once := func(change func(ctx context.Context, progress func(int)) (int, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if n, err := change(ctx, func(int) { cancel() }); n == 0 {
				return err
			}
			return nil
		}
	}
	retry := func(f operator.FailedFilter) func(context.Context) error {
		return once(func(ctx context.Context, progress func(int)) (int, error) {
			return operator.New(q).Retry(ctx, f, progress)
		})
	}
	forget := func(f operator.FailedFilter) func(context.Context) error {
		return once(func(ctx context.Context, progress func(int)) (int, error) {
			return operator.New(q).Forget(ctx, f, progress)
		})
	}
	cancel := func(f operator.JobFilter) func(context.Context) error {
		return once(func(ctx context.Context, progress func(int)) (int, error) {
			return operator.New(q).CancelAll(ctx, f, progress)
		})
	}
	exchanges := 0
	exchange := func(ctx context.Context, x driver.Exchange, expire time.Duration) (driver.Exchanged, error) {
		exchanges++
		x.Number = fmt.Sprint("operate-", exchanges)
		for i := range 5 {
			x.Reserve = append(x.Reserve, driver.Reserve{Queue: fmt.Sprint("queue-", i), Expire: expire})
		}
		return q.Exchange(ctx, x)
	}
	const some = 100 // jobs that a worker takes at once
	reserve := func(ctx context.Context) error {
		answer, err := exchange(ctx, driver.Exchange{Limit: some}, time.Hour)
		var settle []driver.Settlement
		for _, j := range answer.Reserved {
			settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
		}
		if err == nil {
			_, err = exchange(ctx, driver.Exchange{Settle: settle}, time.Hour)
		}
		return err
	}
	requeue := func(ctx context.Context) error {
		_, err := exchange(ctx, driver.Exchange{Limit: some}, time.Microsecond)
		for requeued := 0; err == nil && requeued < some; {
			var answer driver.Exchanged
			answer, err = exchange(ctx, driver.Exchange{Requeue: some}, time.Hour)
			requeued += answer.Requeued
		}
		return err
	}
	field := func(id int) []operator.Field {
		return []operator.Field{{Path: []string{"id"}, Value: fmt.Sprint(id)}}
	}
	window := func(do func(context.Context, operator.JobFilter) error) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			f := operator.JobFilter{After: int64(size.jobs / 2)}
			if f.Until, err = operator.New(q).Window(ctx, f.After, 100_000); err != nil {
				return err
			}
			return do(ctx, f)
		}
	}
	return []operation{
		{"a worker reserves 100 jobs, and deletes them", reserve},
		{"a worker reserves 100 jobs, and all are requeued", requeue},
		{"Queues, to 10,000", queues(10_000)},
		{"Queues, to 20,000", queues(20_000)},
		{"Queues, to 100,000", queues(100_000)},
		{"Queues, exact", queues(0)},
		{"Counts, 1 h", counts(time.Hour)},
		{"Counts, 48 h", counts(48 * time.Hour)},
		{
			"CountJobs to 100,000, queue, name, older than 1 h",
			count(operator.JobFilter{Queue: "queue-1", Name: "job-1", OlderThan: time.Hour}),
		},
		{"CountJobs to 100,000, queue, of a name that none has", count(operator.JobFilter{Queue: "queue-1", Name: "none"})},
		{"Jobs, first page", jobs(operator.JobFilter{})},
		{"Jobs, a page in the middle", jobs(operator.JobFilter{After: int64(size.jobs / 2)})},
		{"Jobs, queue", jobs(operator.JobFilter{Queue: "queue-3"})},
		{"Jobs, queue that has none", jobs(operator.JobFilter{Queue: "none"})},
		{"Jobs, ready", jobs(operator.JobFilter{State: operator.Ready})},
		{"Jobs, delayed", jobs(operator.JobFilter{State: operator.Delayed})},
		{"Jobs, reserved", jobs(operator.JobFilter{State: operator.Reserved})},
		{"Jobs, queue, reserved", jobs(operator.JobFilter{Queue: "queue-1", State: operator.Reserved})},
		{"Jobs, name", jobs(operator.JobFilter{Name: "job-3"})},
		{"Jobs, name that none has", jobs(operator.JobFilter{Name: "none"})},
		{"Jobs, older than 47 h", jobs(operator.JobFilter{OlderThan: 47 * time.Hour})},
		{"Jobs, newest hour", jobs(operator.JobFilter{CreatedAfter: time.Now().Add(-time.Hour)})},
		{"Jobs, field, a match early", jobs(operator.JobFilter{Fields: field(1), Limit: 1})},
		{"Jobs, field, a match at the end", jobs(operator.JobFilter{Fields: field(size.jobs), Limit: 1})},
		{"Jobs, field, no match", jobs(operator.JobFilter{Fields: field(-1)})},
		{"Jobs, queue, field, no match", jobs(operator.JobFilter{Queue: "queue-2", Fields: field(-1)})},
		{"Jobs, field, no match, in a window of 100,000", window(func(ctx context.Context, f operator.JobFilter) error {
			f.Fields = field(-1)
			_, err := operator.New(q).Jobs(ctx, f)
			return err
		})},
		{"CountJobs, name and age, in a window of 100,000", window(func(ctx context.Context, f operator.JobFilter) error {
			f.Queue, f.Name, f.OlderThan = "queue-1", "job-1", time.Hour
			_, err := operator.New(q).CountJobs(ctx, f, 100_000)
			return err
		})},
		{"FailedJobs, first page", failed(operator.FailedFilter{})},
		{"FailedJobs, queue", failed(operator.FailedFilter{Queue: "queue-1"})},
		{"FailedJobs, name", failed(operator.FailedFilter{Name: "job-1"})},
		{"FailedJobs, error", failed(operator.FailedFilter{Error: "kind c: order *: no answer"})},
		{"FailedJobs, error that none has", failed(operator.FailedFilter{Error: "kind z: * no answer"})},
		{"FailedJobs, older than 47 h", failed(operator.FailedFilter{OlderThan: 47 * time.Hour})},
		{"FailedGroups of 20,000", groups(operator.FailedFilter{}, 20_000)},
		{"FailedGroups of 100,000", groups(operator.FailedFilter{}, 100_000)},
		{"FailedGroups of 20,000, queue", groups(operator.FailedFilter{Queue: "queue-1"}, 20_000)},
		{"retry of 1,000 by error", retry(operator.FailedFilter{Error: "kind d: *"})},
		{"forget of 1,000 by error", forget(operator.FailedFilter{Error: "kind e: *"})},
		{"forget of 1,000 by age", forget(operator.FailedFilter{OlderThan: 24 * time.Hour})},
		{"cancel of 1,000 by queue, name and age", cancel(operator.JobFilter{Queue: "queue-1", Name: "job-2", OlderThan: time.Hour})},
	}
}

// commandOperations are command lines, each a process.
func commandOperations(q *sqlqueue.Queue, command, engine, dsn string) (all []operation) {
	if engine == sqlite {
		dsn = "sqlite:" + dsn
	}
	for _, line := range []string{
		"queues", "queues --json", "stats", "workers", "monitor queue-1 --max 1000000000 --min-workers 0", "pause --queue queue-4",
		"resume --queue queue-4", "jobs list", "jobs list --queue queue-3 --state delayed", "jobs list --name job-3",
		"jobs list --field id=17 --limit 1", "jobs show 4711", "jobs edit 4712 --priority 3",
		"jobs cancel --queue queue-1 --name job-1 --older-than 47h --dry-run",
		"failed", "failed --group", "failed --queue queue-1 --name job-1", "failed --error c:*answer", "failed show N",
		"push job", "retry N", "forget N", "prune-failed --hours 48",
	} {
		all = append(all, operation{"`sqlqueue " + line + "`", func(ctx context.Context) error {
			line := line
			if strings.Contains(line, "N") { // the newest that has failed
				newest, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Limit: 1})
				if err != nil || len(newest) == 0 {
					return errors.Join(errors.New("no job has failed"), err)
				}
				line = strings.ReplaceAll(line, "N", fmt.Sprint(newest[0].ID))
			}
			cmd := exec.CommandContext(ctx, command, strings.Fields(line)...)
			cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+dsn)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil {
				return errors.New(strings.TrimSpace(stderr.String()))
			}
			return nil
		}})
	}
	return all
}

// buildCommand builds the stock binary.
func buildCommand(ctx context.Context) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sqlqueue-bench-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "sqlqueue")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/sqlqueue")
	build.Dir, build.Stderr = filepath.Join(sourceDir(), ".."), os.Stderr
	return path, func() { _ = os.RemoveAll(dir) }, build.Run()
}
