package dashboard

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// bulk is a change of everything that matches a query, up to a thousand rows in
// a step. It has no state on the server: each step says where the next begins.
type bulk struct {
	action string // cancel, restore, release, clear, retry or forget
	q      string // of restore: what the jobs were cancelled under
	undo   string // of cancel: what the jobs are cancelled under
	jobs   operator.JobFilter
	failed operator.FailedFilter
	costly bool // no index serves the filter of jobs
}

// stepped is what a step has done.
type stepped struct {
	Done     int   `json:"done"`
	Left     int   `json:"left"` // not done, because a worker has reserved the job or its unique key is taken
	Cursor   int64 `json:"cursor"`
	Finished bool  `json:"finished"`
}

const (
	rowsOfStep  = 1000
	mostCounted = 10_000
	bulkFor     = 3 * time.Second // how long a page without JavaScript works before it asks whether to go on
)

type bulkData struct {
	Action   string
	Q        string
	Undo     string // what the jobs are cancelled under
	Destroys bool
	Count    string
	Nothing  bool
	Sample   []jobRow
	Failures []failedRow
	Cut      string // jobs pushed later are left alone
	Cursor   string
	Done     int
	Left     int
	Began    bool
	Finished bool
	Wrong    string
	Total    int // how many were counted, 0 if there are more
}

// ofFailed reports whether it is about failed jobs.
func (b *bulk) ofFailed() bool { return b.action == "retry" || b.action == "forget" }

// destroys reports whether it deletes for good, so that the user must type the action's name.
func (b *bulk) destroys() bool {
	return b.action != "retry" && b.action != "release" && b.action != "restore"
}

// bulk reads what a request wants to change. Without conditions it is everything.
func (v *visit) bulk(now time.Time) (b *bulk, err error) {
	b = &bulk{action: path.Base(v.path), q: v.query.Get("q")}
	if ids := v.query["id"]; len(ids) > 0 {
		b.q = "id:" + strings.Join(ids, ",")
	}
	if b.ofFailed() {
		b.failed, err = v.failedQuery(b.q)
		return b, err
	}
	if b.action == "restore" {
		if !isUndo(b.q) {
			err = v.wrong(http.StatusBadRequest, "refused.form")
		}
		return b, err
	}
	if b.jobs, err = v.jobQuery(b.q, now); err != nil {
		return b, err
	}
	b.costly = isCostly(b.jobs)
	switch b.action {
	case "release":
		if b.jobs.State != "" && b.jobs.State != operator.Reserved {
			return b, v.wrong(http.StatusBadRequest, "bulk.release")
		}
		b.jobs.State = operator.Reserved
	case "clear":
		if b.jobs.Queue == "" || b.q != joined("queue", b.jobs.Queue) {
			return b, v.wrong(http.StatusBadRequest, "bulk.clear")
		}
		b.jobs.NotReserved = true
	default:
		b.jobs.NotReserved = true
	}
	return b, nil
}

// newUndo is what jobs are cancelled under.
func newUndo() string { return rand.Text() }

func isUndo(text string) bool {
	return len(text) == len(newUndo()) && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// previewBulk counts the rows to change, shows some of them, and asks for confirmation.
func (v *visit) previewBulk() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	b, err := v.bulk(s.Now)
	if err != nil {
		return err
	}
	d := &bulkData{Action: b.action, Q: b.q, Destroys: b.destroys(), Cut: strconv.FormatInt(s.Now.UnixMicro(), 10), Cursor: "0"}
	if b.action == "cancel" {
		d.Undo = newUndo()
	}
	ctx, stop := context.WithTimeout(v.ctx(), patience)
	defer stop()
	switch {
	case b.ofFailed():
		err = v.previewFailed(ctx, b, d)
	case b.action == "restore":
		var n int
		n, err = v.operator.CountCancelled(ctx, b.q)
		d.setCount(n, true)
	default:
		err = v.previewJobs(ctx, b, d, s.Now)
	}
	if err != nil {
		return err
	}
	return v.showBulk(http.StatusOK, b, d)
}

func (v *visit) showBulk(status int, b *bulk, d *bulkData) error {
	here := "jobs"
	if b.ofFailed() {
		here = "failed"
	}
	return v.render(status, "bulk", &page{Title: v.say("bulk." + b.action + ".title"), Here: here, D: d})
}

func (v *visit) previewJobs(ctx context.Context, b *bulk, d *bulkData, now time.Time) error {
	n, whole, err := v.countJobs(ctx, b.jobs)
	if err != nil {
		return err
	}
	d.setCount(n, whole)
	f := b.jobs
	f.PayloadMax = startOfData
	const shown = 3
	jobs, _, err := v.search(ctx, f, shown)
	for _, j := range jobs {
		name, data := v.nameAndData(v.language, j.Payload)
		d.Sample = append(d.Sample, jobRow{j, name, brief(120, data), stateOf(j, now)})
	}
	return err
}

func (v *visit) previewFailed(ctx context.Context, b *bulk, d *bulkData) error {
	groups, err := v.failedGroups(ctx, b.failed)
	if err != nil {
		return err
	}
	var n int64
	for _, g := range groups {
		add(&n, g.Count)
	}
	d.setCount(int(n), n < mostCounted)
	f := b.failed
	f.Limit, f.TextMax = 3, startOfData
	jobs, err := v.operator.FailedJobs(ctx, f)
	d.Failures = v.failedRows(jobs)
	if len(jobs) > 0 {
		d.Cursor = strconv.FormatInt(jobs[0].ID+1, 10) // jobs that fail from now on are left alone
	}
	return err
}

func (d *bulkData) setCount(n int, whole bool) {
	d.Count, d.Nothing, d.Total = grouped(int64(n)), n == 0 && whole, n
	if !whole {
		d.Count, d.Total = d.Count+"+", 0
	}
}

// countJobs counts to mostCounted, for a limited time; whole reports whether these are all.
func (v *visit) countJobs(ctx context.Context, f operator.JobFilter) (total int, whole bool, err error) {
	if !isCostly(f) {
		n, err := v.operator.CountJobs(ctx, f, mostCounted)
		return n, n < mostCounted, err
	}
	leave, err := v.searchPlace()
	if err != nil {
		return 0, false, err
	}
	defer leave()
	var w windows
	for begin := time.Now(); ; f.After = f.Until {
		if f.Until, err = v.operator.Window(ctx, f.After, w.next(time.Now())); err != nil || f.Until == 0 {
			return total, true, err
		}
		n, err := v.operator.CountJobs(ctx, f, mostCounted-total)
		if total += n; err != nil || total >= mostCounted || time.Since(begin) > searchFor {
			return total, false, err
		}
	}
}

// begin reads a request to change: where to begin, and, if it destroys, the typed confirmation.
func (v *visit) begin() (b *bulk, cursor int64, err error) {
	s, err := v.look()
	if err != nil {
		return nil, 0, err
	}
	cut, err := number(v.form("cut"), 1, math.MaxInt64)
	if err != nil {
		return nil, 0, err
	}
	began := time.UnixMicro(cut)
	if b, err = v.bulk(began); err != nil {
		return nil, 0, err
	}
	if began.After(s.Now.Add(time.Minute)) {
		return nil, 0, v.wrong(http.StatusBadRequest, "refused.form")
	}
	if b.undo = v.form("undo"); b.action == "cancel" && b.undo == "" {
		b.undo = newUndo()
	}
	if b.undo != "" && !isUndo(b.undo) {
		return nil, 0, v.wrong(http.StatusBadRequest, "refused.form")
	}
	b.jobs.CreatedBefore = began
	if b.jobs.OlderThan > 0 { // as it was meant when it began
		older := began.Add(-b.jobs.OlderThan)
		b.jobs.CreatedBefore, b.jobs.OlderThan = older, 0
	}
	if cursor, err = number(v.form("cursor"), 0, math.MaxInt64); err != nil {
		return nil, 0, err
	}
	if b.destroys() && strings.TrimSpace(v.form("confirm")) != b.action {
		return b, cursor, v.wrong(http.StatusUnprocessableEntity, "bulk.confirm", b.action)
	}
	return b, cursor, nil
}

// stepBulk does one step, for the script of the page.
func (v *visit) stepBulk() error {
	b, cursor, err := v.begin()
	if err != nil {
		return err
	}
	done, err := v.step(b, cursor)
	if err != nil {
		return err
	}
	v.writeJSON(http.StatusOK, done)
	return nil
}

// runBulk does step after step for a while, and then shows the progress.
func (v *visit) runBulk() error {
	b, cursor, err := v.begin()
	if b == nil {
		return err
	}
	d := &bulkData{Action: b.action, Q: b.q, Destroys: b.destroys(), Cut: v.form("cut"), Undo: b.undo}
	d.Done, _ = strconv.Atoi(v.form("done"))
	d.Left, _ = strconv.Atoi(v.form("left"))
	var asked *problem
	if errors.As(err, &asked) {
		d.Wrong, d.Cursor, d.Count, d.Began = v.reason(asked), v.form("cursor"), v.form("count"), d.Done > 0
		return v.showBulk(asked.status, b, d)
	}
	if err != nil {
		return err
	}
	d.Began = true
	for begin := time.Now(); !d.Finished && time.Since(begin) < bulkFor; {
		s, err := v.step(b, cursor)
		if err != nil {
			return err
		}
		cursor, d.Finished = s.Cursor, s.Finished
		d.Done += s.Done
		d.Left += s.Left
	}
	d.Cursor = strconv.FormatInt(cursor, 10)
	v.now.spoil()
	return v.showBulk(http.StatusOK, b, d)
}

// step changes up to a thousand rows.
func (v *visit) step(b *bulk, cursor int64) (stepped, error) {
	if b.ofFailed() {
		return v.stepFailed(b, cursor)
	}
	if b.action == "restore" {
		page, err := v.operator.RestoreAfter(v.ctx(), b.q, cursor)
		return stepped{page.Restored, len(page.Duplicates), page.Next, page.Next == 0}, err
	}
	f := b.jobs
	f.After, f.Limit, f.PayloadMax = cursor, rowsOfStep, 1
	last := true
	if b.costly {
		until, err := v.operator.Window(v.ctx(), f.After, stepWindow)
		if err != nil || until == 0 {
			return stepped{Cursor: cursor, Finished: true}, err
		}
		f.Until, last = until, until-f.After < stepWindow // what is pushed meanwhile is not waited for
	}
	found, err := v.operator.Jobs(v.ctx(), f)
	if err != nil {
		return stepped{}, err
	}
	if len(found) == 0 {
		return stepped{Cursor: max(f.Until, cursor), Finished: last}, nil
	}
	if len(found) == rowsOfStep {
		f.Until, last = found[rowsOfStep-1].ID, false
	} else if f.Until == 0 {
		f.Until = found[len(found)-1].ID
	}
	change := v.operator.CancelAll
	switch b.action {
	case "cancel":
		change = v.operator.Undoable(b.undo).CancelAll
	case "release":
		change = v.operator.ReleaseAll
	}
	n, err := change(v.ctx(), f)
	return stepped{Done: n, Left: max(len(found)-n, 0), Cursor: f.Until, Finished: last}, err
}

func (v *visit) stepFailed(b *bulk, cursor int64) (stepped, error) {
	f := b.failed
	f.Before, f.Limit, f.TextMax = cursor, rowsOfStep, 1
	if cursor == 0 {
		return stepped{Finished: true}, nil
	}
	found, err := v.operator.FailedJobs(v.ctx(), f)
	if err != nil || len(found) == 0 {
		return stepped{Cursor: cursor, Finished: true}, err
	}
	var ids []int64
	for _, j := range found {
		ids = append(ids, j.ID)
	}
	change := v.operator.Forget
	if b.action == "retry" {
		change = v.operator.Retry
	}
	n, err := change(v.ctx(), operator.FailedFilter{IDs: ids})
	var duplicate *sqlqueue.DuplicateError
	if err != nil && !asDuplicate(err, &duplicate) && !errors.Is(err, operator.ErrNotFound) {
		return stepped{}, err
	}
	return stepped{n, len(found) - n, ids[len(ids)-1], len(found) < rowsOfStep}, nil
}

func asDuplicate(err error, to **sqlqueue.DuplicateError) bool { return errors.As(err, to) }
