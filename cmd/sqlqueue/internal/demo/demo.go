// Package demo shows in some seconds what sqlqueue does, and checks it.
package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

const (
	longest = 30 * time.Second
	pings   = 10000
)

// Command returns the command that runs the demo.
func Command() *cobra.Command {
	var browser bool
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: jobs of several kinds, a worker, a kill and a recovery",
		Long: "See it work, in an SQLite file in a temporary directory, which is removed at the end: jobs of several kinds are\n" +
			"pushed, a worker runs them, is killed in the middle of one, and another takes over. It checks what it claims, and\n" +
			"exits 0 only if all of it held.\n\n" +
			"With --dashboard it is a shop whose jobs come and are worked on until Ctrl-C, to be looked at in a browser.",
		Example: `  sqlqueue demo
  sqlqueue demo --dashboard`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			dir, err := os.MkdirTemp("", "sqlqueue-demo-")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(dir) }()
			file := filepath.Join(dir, "demo.db")
			if browser {
				return showDashboard(ctx, cmd.OutOrStdout(), file, listen)
			}
			ctx, cancel := context.WithTimeout(ctx, longest)
			defer cancel()
			demo := &demo{
				file:   file,
				out:    cmd.OutOrStdout(),
				worker: append(strings.Fields(cmd.CommandPath())[1:], "worker", file),
				starts: map[string]int{},
				ends:   map[int64]int{},
			}
			return demo.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&browser, "dashboard", false, "show a shop's jobs in a browser, until Ctrl-C")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080",
		"with --dashboard: address of this machine to listen at; port 0 is a free one")
	cmd.AddCommand(workerCommand())
	return cmd
}

// demo is one run of the demo.
type demo struct {
	file   string
	out    io.Writer
	worker []string // arguments that make this program the worker

	db      *sql.DB
	queue   *sqlqueue.Queue
	pushed  []pushedJob
	checked int            // so many of pushed have run as often as expected
	starts  map[string]int // runs that started, by name
	ends    map[int64]int  // runs that came to an end, by job

	started           time.Time
	firstPing         time.Time
	pings             int
	pushRate, runRate float64 // jobs per second
}

// pushedJob is what is expected of a pushed job.
type pushedJob struct {
	id    int64
	name  string
	times int // how often a run of it is to come to an end
}

func (d *demo) run(ctx context.Context) error {
	d.started = time.Now()
	var err error
	if d.db, d.queue, err = open(d.file); err != nil {
		return err
	}
	defer func() { _ = d.db.Close() }()
	for _, step := range []func(context.Context) error{d.migrate, d.push, d.work, d.verify} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("the demo did not come to its end within %s: %w", longest, err)
			}
			return err
		}
	}
	return nil
}

// open opens an SQLite file as the README says.
func open(file string) (*sql.DB, *sqlqueue.Queue, error) {
	parameters := "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
	db, err := sql.Open("sqlite", "file:"+file+parameters)
	if err != nil {
		return nil, nil, err
	}
	queue, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		_ = db.Close()
	}
	return db, queue, err
}

func (d *demo) say(format string, a ...any) { fmt.Fprintf(d.out, format+"\n", a...) }

func (d *demo) migrate(ctx context.Context) error {
	m, err := migrations.New(d.db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	applied, err := m.Up(ctx)
	if err != nil {
		return err
	}
	steps := "1 step"
	if len(applied) != 1 {
		steps = fmt.Sprintf("%d steps", len(applied))
	}
	d.say("Migrations: %s applied to sqlite file %s", steps, d.file)
	_, err = d.db.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, paid INTEGER)")
	return err
}

// push makes jobs of several kinds.
func (d *demo) push(ctx context.Context) error {
	q := d.queue
	d.say("\nPushes:")
	if err := d.pushOne(ctx, "a typed job", 1, sendInvoice{42}); err != nil {
		return err
	}
	if err := d.pushOne(ctx, "a delayed one, due in a second", 1, remind{}, sqlqueue.Delay(time.Second)); err != nil {
		return err
	}
	if err := d.pushOne(ctx, "one that fails twice before it goes well", 1+flakyFails, flaky{}); err != nil {
		return err
	}
	if err := d.pushOne(ctx, "one that never goes well, with 2 tries", 2, hopeless{}, sqlqueue.Tries(2)); err != nil {
		return err
	}

	ids, err := q.PushMany(ctx, []sqlqueue.Pushable{orderPaid{42}}, sqlqueue.OnQueue("mail", "sms", "chat"))
	if err != nil {
		return err
	}
	d.say("  %-16s one paid order to the queues mail, sms and chat, in one transaction", jobIDs(ids))
	for _, id := range ids {
		d.pushed = append(d.pushed, pushedJob{id, "order_paid", 1})
	}

	if err := d.pushOne(ctx, "a unique one, with the key order-42", 1, sendInvoice{42}, sqlqueue.Unique("order-42")); err != nil {
		return err
	}
	id, err := q.Push(ctx, sendInvoice{42}, sqlqueue.Unique("order-42"))
	var duplicate *sqlqueue.DuplicateError
	switch {
	case err == nil:
		return fmt.Errorf("a second push with the same unique key made job %d", id)
	case !errors.As(err, &duplicate):
		return err
	}
	d.say("  %-16s the same again: nothing is pushed, the answer is the job that has the key", jobIDs([]int64{id}))

	if err := d.pushInTransactions(ctx); err != nil {
		return err
	}

	began := time.Now()
	for left := pings; left > 0; left -= 1000 {
		jobs := make([]sqlqueue.Pushable, min(left, 1000))
		for i := range jobs {
			jobs[i] = ping{}
		}
		ids, err := q.PushMany(ctx, jobs, sqlqueue.OnQueue("bulk"))
		if err != nil {
			return err
		}
		for _, id := range ids {
			d.pushed = append(d.pushed, pushedJob{id, "ping", 1})
		}
	}
	d.pushRate = pings / time.Since(began).Seconds()
	d.say("  %-16s in batches of 1,000: %.0f a second", fmt.Sprintf("%d small jobs", pings), d.pushRate)
	return nil
}

func (d *demo) pushOne(ctx context.Context, what string, times int, job sqlqueue.Pushable, options ...sqlqueue.PushOption) error {
	id, err := d.queue.Push(ctx, job, options...)
	if err != nil {
		return err
	}
	d.pushed = append(d.pushed, pushedJob{id, job.JobName(), times})
	d.say("  %-16s %s", jobIDs([]int64{id}), what)
	return nil
}

// pushInTransactions pushes beside a business write, once rolled back and once committed.
func (d *demo) pushInTransactions(ctx context.Context) error {
	for _, commit := range []bool{false, true} {
		tx, err := d.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // of what is not committed
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (paid) VALUES (1)"); err != nil {
			return err
		}
		id, err := sqlitequeue.WithTx(d.queue, tx).Push(ctx, sendInvoice{43})
		if err != nil {
			return err
		}
		if !commit {
			if err := tx.Rollback(); err != nil {
				return err
			}
			d.say("  -                in a transaction that is rolled back: there is neither order nor job")
			continue
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		d.pushed = append(d.pushed, pushedJob{id, "send_invoice", 1})
		d.say("  %-16s in a transaction that is committed: there are both", jobIDs([]int64{id}))
	}
	return nil
}

func jobIDs(ids []int64) string {
	texts := strings.Trim(fmt.Sprint(ids), "[]")
	if len(ids) > 1 {
		return "jobs " + texts
	}
	return "job " + texts
}

// work starts a worker, kills it in the middle of a job, and starts another.
func (d *demo) work(ctx context.Context) error {
	first, err := d.startWorker(ctx)
	if err != nil {
		return err
	}
	defer first.kill()
	d.say("\nWorker 1 is process %d:", first.pid())
	if err := d.follow(ctx, first, d.allRan); err != nil {
		return err
	}
	if err := d.settled(ctx); err != nil {
		return err
	}

	if err := d.pushOne(ctx, "a long one", 1, export{}); err != nil {
		return err
	}
	long := d.pushed[len(d.pushed)-1].id
	if err := d.follow(ctx, first, func(r run) bool { return r.id == long && r.what == "start" }); err != nil {
		return err
	}
	killed := time.Now()
	first.kill()
	d.say("\nkill -9 %d, in the middle of job %d. Its reservation ends %s after it was last kept alive.", first.pid(), long, expire)

	second, err := d.startWorker(ctx)
	if err != nil {
		return err
	}
	defer second.kill()
	d.say("Worker 2 is process %d:", second.pid())
	if err := d.follow(ctx, second, func(r run) bool { return r.id == long && r.what == "done" }); err != nil {
		return err
	}
	d.say("Job %d has run again, %.1f s after the kill.", long, time.Since(killed).Seconds())
	if err := second.stop(ctx); err != nil {
		return fmt.Errorf("worker 2: %w", err)
	}
	d.say("Worker 2 got TERM, and has finished.")
	return nil
}

// allRan reports whether every job has run as often as expected.
func (d *demo) allRan(run) bool {
	for ; d.checked < len(d.pushed); d.checked++ {
		if p := d.pushed[d.checked]; d.ends[p.id] < p.times {
			return false
		}
	}
	return true
}

// follow shows what a worker does until the condition holds after one of its lines.
func (d *demo) follow(ctx context.Context, w *process, until func(run) bool) error {
	for {
		var r run
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-w.lines:
			if !ok {
				return fmt.Errorf("worker %d ended: %s", w.pid(), w.said.String())
			}
			var err error
			if r, err = parseRun(line); err != nil {
				return fmt.Errorf("worker %d printed %q", w.pid(), line)
			}
		}
		if r.what == "start" {
			d.starts[r.name]++
		} else {
			d.ends[r.id]++
		}
		if r.name == (ping{}).JobName() {
			d.countPing()
		} else {
			d.say("  %-5s  job %-6d %-12s  attempt %d", r.what, r.id, r.name, r.attempt)
		}
		if until(r) {
			return nil
		}
	}
}

// countPing shows how far the many small jobs are.
func (d *demo) countPing() {
	if d.pings == 0 {
		d.firstPing = time.Now()
	}
	d.pings++
	d.starts[(ping{}).JobName()]++ // only the end is told
	if d.pings%(pings/4) == 0 {
		d.runRate = float64(d.pings) / time.Since(d.firstPing).Seconds()
		d.say("  done   %d of %d small jobs, %.0f a second", d.pings, pings, d.runRate)
	}
}

// settled waits until no job is left in the queues.
func (d *demo) settled(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := d.left(ctx)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// left counts the jobs in the queues.
func (d *demo) left(ctx context.Context) (left int64, err error) {
	queues, err := operator.New(d.queue).Queues(ctx, 0)
	for _, q := range queues {
		left += q.Ready + q.Delayed + q.Reserved
	}
	return left, err
}

// verify says what ran how often, and checks it.
func (d *demo) verify(ctx context.Context) error {
	if err := d.settled(ctx); err != nil {
		return err
	}
	jobs := map[string]int{}
	var names []string
	expected := map[int64]bool{}
	var wrong []string
	for _, p := range d.pushed {
		if jobs[p.name] == 0 {
			names = append(names, p.name)
		}
		jobs[p.name]++
		expected[p.id] = true
		if d.ends[p.id] != p.times {
			wrong = append(wrong, fmt.Sprintf("job %d (%s) came to an end %d times instead of %d", p.id, p.name, d.ends[p.id], p.times))
		}
	}
	for id := range d.ends {
		if !expected[id] {
			wrong = append(wrong, fmt.Sprintf("job %d ran, which nobody pushed", id))
		}
	}
	failed, err := operator.New(d.queue).FailedJobs(ctx, operator.FailedFilter{})
	if err != nil {
		return err
	}
	if len(failed) != 1 || failed[0].Attempts != 2 {
		wrong = append(wrong, fmt.Sprintf("%d failed jobs instead of 1, after 2 tries", len(failed)))
	}
	var orders int
	if err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&orders); err != nil {
		return err
	}
	if orders != 1 {
		wrong = append(wrong, fmt.Sprintf("%d orders instead of 1", orders))
	}

	d.say("\nWhat ran:")
	d.say("  %-12s  %-5s  RUNS", "NAME", "JOBS")
	for _, name := range names {
		d.say("  %-12s  %-5d  %d", name, jobs[name], d.starts[name])
	}
	d.say("\nPushed %.0f jobs a second, in batches of 1,000; ran %.0f a second. All of it took %.1f s.",
		d.pushRate, d.runRate, time.Since(d.started).Seconds())
	if wrong != nil {
		return fmt.Errorf("not everything went as it should: %s", strings.Join(wrong, "; "))
	}
	d.say("Checked: every job ran as often as it should, the unique one once, the one rolled back never, the killed one again; " +
		"the one that\n" +
		"never goes well is among the failed jobs, and nothing is left in the queues.")
	return nil
}
