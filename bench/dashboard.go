package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// What a page of the dashboard may cost.
const (
	mostFirst   = 25_000 // bytes, with the files that all pages share
	mostRefresh = 6_000  // bytes
	mostTime    = 300 * time.Millisecond
	mostCPU     = 40 * time.Millisecond // of the database, for a refresh
)

// pages measures what each page of the dashboard, and its refresh, cost beside many jobs. A page is first asked of a dashboard that has
// read nothing before, and then renews itself as in a browser.
func pages(ctx context.Context, h *host, rows, rounds int, refresh time.Duration, out io.Writer) (err error) {
	st, opened, err := h.openOwn(ctx)
	if err != nil {
		return err
	}
	defer func() { opened.Close(); err = errors.Join(err, st.close(ctx)) }()
	began := time.Now()
	p := &paging{stage: st, queue: opened.queue, rounds: rounds, refresh: refresh}
	counted, err := p.fill(ctx, rows)
	if err != nil {
		return err
	}
	log.Printf("the tables were filled in %v", time.Since(began).Round(time.Second))

	_, _ = fmt.Fprintf(out, "## %s\n\n%s jobs, %s failed jobs, %s.\n", h.engine, whole(rows), whole(rows/5), counted)
	_, _ = fmt.Fprintf(out, "Each page was opened %d times with nothing read before, and then renewed %d times, every %v.\n",
		rounds, rounds, refresh)
	_, _ = fmt.Fprintf(out, "Times: median and worst, until the answer is complete. CPU: of the %s, for one request.\n\n", p.whose())
	for _, line := range describe(ctx, h.admin, h.engine) {
		_, _ = fmt.Fprintf(out, "- %s\n", line)
	}
	_, _ = fmt.Fprintf(out, "\n| page | first: KB | ms | CPU ms | refresh: KB | ms | CPU ms |\n|---|--:|--:|--:|--:|--:|--:|\n")
	_, _ = fmt.Fprintf(out, "| *target* | %s | %d | | %s | %d | %d |\n",
		kilobytes(mostFirst), mostTime.Milliseconds(), kilobytes(mostRefresh),
		mostTime.Milliseconds(), mostCPU.Milliseconds())
	addresses, err := p.addresses(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, address := range addresses {
		line, err := p.measure(ctx, address)
		if err != nil {
			errs = append(errs, fmt.Errorf("the page /%s: %w", address, err))
			line = oneLine(err.Error()) + " **missed** | | | | | "
		}
		_, _ = fmt.Fprintf(out, "| `/%s` | %s |\n", address, line)
	}
	return errors.Join(append(errs, ctx.Err())...)
}

type paging struct {
	*stage
	queue   *sqlqueue.Queue
	rounds  int
	refresh time.Duration
}

// fill makes what the pages show. It says how much there is beside jobs and failed jobs.
func (p *paging) fill(ctx context.Context, rows int) (counted string, err error) {
	if err := fillForOperators(ctx, p.stage, size{jobs: rows, beside: rows / 5}); err != nil {
		return "", err
	}
	f, err := newFiller(ctx, p.stage)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.conn.Close() }()
	const queues, names, batches = 100, 50, 20
	finished, failures, minutes := rows/5, min(rows/5, 200_000), min(48*60, rows/queues)
	if err := f.fill(ctx, `INSERT INTO job_finished
	(job_id, queue, name, priority, payload, attempts, outcome, worker, created_at, started_at, finished_at, keep_until)
SELECT 1000000000 + n, 'queue-' || (n % 5), 'job-' || (n % 7), 0, `+f.payload("")+`, 1, 'done', 'worker', `+f.spread(finished)+`, `+
		f.spread(finished)+`,
	`+f.spread(finished)+`, `+f.at("n - 172800000000")+` FROM `, finished); err != nil {
		return "", err
	}
	if err := f.fill(ctx, `INSERT INTO job_errors (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at)
SELECT n, 'queue-' || (n % 5), 'job-' || (n % 7), 1, 'released', `+f.failure()+`, '', 'worker', 20, `+f.spread(failures)+` FROM `,
		failures); err != nil {
		return "", err
	}
	now, counts, sums := time.Now(), 0, 0
	beat := driver.Beat{Worker: driver.Worker{ID: "w", Name: "worker", Queues: []string{"*"}, Concurrency: 10}}
	for i := range minutes {
		minute := now.Add(-time.Duration(i) * time.Minute).Truncate(time.Minute)
		for queue := range queues {
			beat.Counts = append(beat.Counts, driver.Count{
				Minute: minute, Queue: fmt.Sprint("queue-", queue), Pushed: int64(i % 89), Done: int64(i % 97), Failed: int64(i % 3),
			})
		}
		if age := time.Duration(i) * time.Minute; age < 3*time.Hour || minute.Minute()%10 == 0 {
			beat.Names = append(beat.Names, ran(minute, names)...)
		}
		if i%10 == 9 || i == minutes-1 {
			counts, sums = counts+len(beat.Counts), sums+len(beat.Names)
			if err := p.queue.Beat(ctx, beat); err != nil {
				return "", err
			}
			beat.Counts, beat.Names = nil, nil
		}
	}
	merged := `UPDATE job_names SET step = CASE WHEN minute > ` + f.at("10800000000") + ` THEN 1 ELSE 10 END`
	if _, err := f.conn.ExecContext(ctx, merged); err != nil {
		return "", err
	}
	if err := f.fill(ctx, `INSERT INTO job_sizes (step, minute, queue, ready, not_due, reserved, failed, oldest_ms)
SELECT 1, `+f.at("n * 60000000")+`, '', n, 1, 1, 1, 1 FROM `, minutes); err != nil {
		return "", err
	}
	for i := range batches {
		if err := p.batch(ctx, i); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s finished jobs, %s errors of runs, %s counts of %d queues, %s sums of %d names, %d batches of 100 jobs",
			whole(finished), whole(failures), whole(counts), queues, whole(sums), names, batches),
		f.analyze(ctx, "jobs", "job_finished", "job_errors", "job_counts", "job_names", "job_sizes", "job_batches")
}

// ran is what a worker counts by name in a minute.
func ran(minute time.Time, names int) (all []*driver.NameCount) {
	for i := range names {
		c := &driver.NameCount{
			Minute: minute, Queue: fmt.Sprint("queue-", i%5), Name: fmt.Sprint("job-", i), Done: 8, Failed: 1, Released: 1,
		}
		for k := range 10 {
			c.Run.Add(time.Duration(i*k+1) * time.Millisecond)
			c.Wait.Add(time.Duration(k+1) * time.Millisecond)
		}
		all = append(all, c)
	}
	return all
}

func (p *paging) batch(ctx context.Context, i int) error {
	batch := p.queue.Batch(fmt.Sprint("batch ", i))
	jobs := make([]sqlqueue.Pushable, 100)
	for k := range jobs {
		jobs[k] = sqlqueue.Named("row", k)
	}
	if _, err := batch.Push(ctx, jobs...); err != nil {
		return err
	}
	_, err := batch.Seal(ctx)
	return err
}

// addresses are the pages below the dashboard's root.
func (p *paging) addresses(ctx context.Context) ([]string, error) {
	o := operator.New(p.queue)
	jobs, err := o.Jobs(ctx, operator.JobFilter{Limit: 1})
	if err != nil {
		return nil, err
	}
	failed, err := o.FailedJobs(ctx, operator.FailedFilter{Limit: 1})
	if err != nil {
		return nil, err
	}
	finished, err := o.FinishedJobs(ctx, operator.FinishedFilter{Limit: 1})
	if err != nil {
		return nil, err
	}
	batches, err := o.Batches(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	errs, err := o.Errors(ctx, operator.ErrorFilter{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 || len(failed) == 0 || len(finished) == 0 || len(batches) == 0 || len(errs) == 0 {
		return nil, errors.New("the tables are not filled: use at least 5 rows")
	}
	return []string{
		"", "?range=48h", "queue?name=queue-1", "jobs", "jobs?q=queue:queue-1", fmt.Sprint("jobs/", jobs[0].ID),
		"failed", "failed?q=queue:queue-1", fmt.Sprint("failed/", failed[0].ID), "errors", "errors?range=7d",
		fmt.Sprint("errors/", errs[0].ID), "names", "names?range=24h", "names/show?queue=queue-1&name=job-1&range=24h", "done",
		"done?queue=queue-1", fmt.Sprint("jobs/", finished[0].ID), "workers", "schedules", "batches", fmt.Sprint("batches/", batches[0].ID),
		"subscriptions", "activity", "push", "settings",
	}, nil
}

// cost is what requests of one kind took.
type cost struct {
	bytes int
	took  []time.Duration
	cpu   time.Duration // of all
}

// measure opens a page, has it renew itself, and writes both as cells of the table.
func (p *paging) measure(ctx context.Context, address string) (string, error) {
	var first, again cost
	for range p.rounds {
		d, err := dashboard.New(p.queue, dashboard.Config{Refresh: p.refresh})
		if err != nil {
			return "", err
		}
		if err := p.ask(ctx, &first, d, "/"+address); err != nil {
			return "", err
		}
	}
	d, err := dashboard.New(p.queue, dashboard.Config{Refresh: p.refresh})
	if err != nil {
		return "", err
	}
	page, err := get(ctx, d, "/"+address)
	if err != nil {
		return "", err
	}
	shared, err := p.shared(ctx, d, page)
	if err != nil {
		return "", err
	}
	first.bytes += shared
	line := first.cells(mostFirst, 0)
	if !bytes.Contains(page, []byte("data-live")) {
		return line + " | – | – | –", nil
	}
	part := "?part=live"
	if strings.Contains(address, "?") {
		part = "&part=live"
	}
	for range p.rounds {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(p.refresh):
		}
		if err := p.ask(ctx, &again, d, "/"+address+part); err != nil {
			return "", err
		}
	}
	return line + " | " + again.cells(mostRefresh, mostCPU), nil
}

// ask requests a page once.
func (p *paging) ask(ctx context.Context, c *cost, d http.Handler, address string) error {
	cpu, began := p.cpu(ctx), time.Now()
	w := browse(ctx, d, address)
	c.took = append(c.took, time.Since(began))
	c.cpu += p.cpu(ctx) - cpu
	c.bytes = max(c.bytes, w.Body.Len())
	if w.Code != http.StatusOK {
		return fmt.Errorf("status %d", w.Code)
	}
	return nil
}

// cpu is what the database has spent, or, if it is in this process or elsewhere, this process.
func (p *paging) cpu(ctx context.Context) time.Duration {
	seconds := cpuTime()
	if p.meter.pid != 0 {
		seconds = p.meter.read(ctx).cpu
	}
	return time.Duration(seconds * float64(time.Second))
}

func (p *paging) whose() string {
	switch {
	case p.meter.pid != 0:
		return "database's server"
	case p.host.engine == sqlite:
		return "process, which has the database and the dashboard"
	}
	return "dashboard, because the server is not on this machine"
}

var sharedFile = regexp.MustCompile(`(?:href|src)="([^"]*assets/[^"]+)"`)

// shared is how many bytes the files have that a page names, which browsers keep.
func (p *paging) shared(ctx context.Context, d http.Handler, page []byte) (n int, err error) {
	for _, found := range sharedFile.FindAllSubmatch(page, -1) {
		w := browse(ctx, d, "/"+strings.TrimLeft(string(found[1]), "./"))
		if w.Code != http.StatusOK {
			return 0, fmt.Errorf("%s: status %d", found[1], w.Code)
		}
		n += w.Body.Len()
	}
	return n, nil
}

// browse asks as browsers do: the answer is compressed.
func browse(ctx context.Context, d http.Handler, address string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+address, nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// get is the text of a page.
func get(ctx context.Context, d http.Handler, address string) ([]byte, error) {
	w := browse(ctx, d, address)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		return nil, fmt.Errorf("status %d: %w", w.Code, err)
	}
	return io.ReadAll(z)
}

// cells are three of the table: bytes, times, CPU. What is more than its target, if it has one, is marked.
func (c cost) cells(mostBytes int, mostCPU time.Duration) string {
	slices.Sort(c.took)
	worst, each := c.took[len(c.took)-1], c.cpu/time.Duration(len(c.took))
	ms := func(d time.Duration) string { return number(float64(d.Microseconds()) / 1000) }
	return strings.Join([]string{
		marked(kilobytes(c.bytes), c.bytes > mostBytes),
		marked(ms(c.took[(len(c.took)-1)/2])+", "+ms(worst), worst > mostTime),
		marked(ms(each), mostCPU > 0 && each > mostCPU),
	}, " | ")
}

func kilobytes(n int) string { return fmt.Sprintf("%.1f", float64(n)/1000) }

func marked(text string, missed bool) string {
	if missed {
		return text + " **missed**"
	}
	return text
}
