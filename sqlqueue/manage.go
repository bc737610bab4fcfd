package sqlqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	defaultLimit = 100
	batch        = 1000 // rows of one transaction when there may be millions
)

// Jobs returns jobs by ascending id, a page at a time: JobFilter.After takes the last id of the page before.
func (q *Queue) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("jobs", err)
	}
	if err := f.check(); err != nil {
		return nil, wrap("jobs", err)
	}
	jobs, err := store.Jobs(ctx, f)
	return jobs, wrap("jobs", err)
}

// CountJobs counts the jobs that pass the filter, up to most. The filter's Limit is not used.
func (q *Queue) CountJobs(ctx context.Context, f JobFilter, most int) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("count jobs", err)
	}
	if most < 1 {
		return 0, wrap("count jobs", fmt.Errorf("a count up to %d: it must be at least 1", most))
	}
	f.Limit = 0
	if err := f.check(); err != nil {
		return 0, wrap("count jobs", err)
	}
	f.Limit = most
	n, err := store.CountJobs(ctx, f)
	return n, wrap("count jobs", err)
}

// Window returns the id of the nth job after an id, or of the last if there are fewer, or 0 if there are none. A search among millions of
// jobs for a few of which no index knows takes long; it can go window by window, by JobFilter's After and Until, and tell how far it is.
func (q *Queue) Window(ctx context.Context, after int64, n int) (int64, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("window", err)
	}
	if n < 1 {
		return 0, wrap("window", fmt.Errorf("a window of %d jobs: it must be at least 1", n))
	}
	last, err := store.Window(ctx, after, n)
	return last, wrap("window", err)
}

// Job returns one job, or ErrNotFound.
func (q *Queue) Job(ctx context.Context, id int64) (Job, error) {
	jobs, err := q.Jobs(ctx, JobFilter{IDs: []int64{id}})
	if err != nil {
		return Job{}, err
	}
	if len(jobs) == 0 {
		return Job{}, wrap("job", fmt.Errorf("%d: %w", id, ErrNotFound))
	}
	return jobs[0], nil
}

// JobEdit is what Edit changes. Fields left nil stay as they are.
type JobEdit struct {
	Queue    *string
	Priority *int
	At       *time.Time
	Name     *string
	Data     any // any value that the Codec takes; nil leaves the data (json.RawMessage("null") sets null)
}

// Edit changes a job that no worker has. It returns ErrReserved if one has it, ErrNotFound if there is no such job, and a
// *DuplicateError if its unique key is taken in the new queue. Of two edits at once, the later one wins.
func (q *Queue) Edit(ctx context.Context, id int64, edit JobEdit) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("edit", err)
	}
	change := JobChange{Queue: edit.Queue, At: edit.At}
	if edit.Queue != nil {
		if err := CheckQueueName(*edit.Queue); err != nil {
			return wrap("edit", err)
		}
	}
	if edit.Priority != nil {
		priority := int16(*edit.Priority)
		if int(priority) != *edit.Priority {
			return wrap("edit", fmt.Errorf("priority is %d: it must be from -32768 to 32767", *edit.Priority))
		}
		change.Priority = &priority
	}
	if edit.At != nil {
		if err := checkTime(*edit.At); err != nil {
			return wrap("edit", err)
		}
	}
	if edit.Name != nil || edit.Data != nil {
		if change.Payload, err = q.editPayload(ctx, id, edit); err != nil {
			return wrap("edit", err)
		}
	}
	changed, err := store.ChangeJobs(ctx, JobFilter{IDs: []int64{id}, NotReserved: true, Limit: 1}, change)
	if err == nil && len(changed) == 0 {
		err = q.why(ctx, id, ErrReserved)
	}
	return wrap("edit", err)
}

// editPayload changes the name or the data in a job's payload, and nothing else: settings may be there that others understand, and one that
// is wrong is no reason to refuse a change of the data.
func (q *Queue) editPayload(ctx context.Context, id int64, edit JobEdit) ([]byte, error) {
	job, err := q.Job(ctx, id)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	fields := fieldsOf(job.Payload) // none if it is no object: name and data make one of it
	if edit.Name != nil {
		name, err := marshal(*edit.Name)
		if err != nil {
			return nil, err
		}
		fields.set("job", name)
	}
	if edit.Data != nil {
		data, err := q.config.Codec.Marshal(edit.Data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		fields.set("data", data)
	}
	for _, member := range []string{"job", "data"} {
		if n := fields.count(member); n > 1 {
			return nil, fmt.Errorf("payload has two members %q: change both the name and the data, which leaves one of each", member)
		}
	}
	if fields.jobName() == "" {
		return nil, errors.New(`payload has no "job": give the name of the handler too`)
	}
	payload, err := fields.encode()
	if err == nil && !json.Valid(payload) {
		err = errors.New("data is not valid JSON")
	}
	return payload, err
}

// Cancel deletes jobs that no worker has, and returns how many it deleted. For the others the error says why not, by id: ErrReserved
// or ErrNotFound.
func (q *Queue) Cancel(ctx context.Context, ids ...int64) (int, error) {
	return q.changeEach(ctx, "cancel", ids, JobFilter{NotReserved: true}, JobChange{Delete: true}, ErrReserved)
}

// Release puts reserved jobs back by hand, available now: for jobs whose worker is known to be gone, where expire is off. It returns
// how many it released; for the others the error says why not, by id: ErrNotReserved or ErrNotFound. If the worker does live, it loses its
// reservation.
func (q *Queue) Release(ctx context.Context, ids ...int64) (int, error) {
	return q.changeEach(ctx, "release", ids, JobFilter{State: Reserved}, JobChange{Release: true}, ErrNotReserved)
}

func (q *Queue) changeEach(ctx context.Context, operation string, ids []int64, f JobFilter, c JobChange, refused error) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap(operation, err)
	}
	total := 0
	var errs []error
	for ids := range slices.Chunk(ids, batch) {
		f.IDs, f.Limit = ids, batch
		changed, err := store.ChangeJobs(ctx, f, c)
		if err != nil {
			return total, wrap(operation, err)
		}
		total += len(changed)
		for _, id := range missing(f.IDs, changed) {
			errs = append(errs, q.why(ctx, id, refused))
		}
	}
	return total, wrap(operation, errors.Join(errs...))
}

// CancelAll deletes the jobs that pass the filter and that no worker has, a thousand in a transaction, from the oldest to the newest, and
// returns how many it deleted. The filter's Limit is not used. Progress is told after each transaction how many it was until then.
func (q *Queue) CancelAll(ctx context.Context, f JobFilter, progress ...func(deleted int)) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("cancel", err)
	}
	f.Limit, f.NotReserved = batch, true
	if err := f.check(); err != nil {
		return 0, wrap("cancel", err)
	}
	total, err := changeAll(ctx, store, f, JobChange{Delete: true}, progress)
	return total, wrap("cancel", err)
}

// ReleaseAll puts the reserved jobs that pass the filter back, as Release does, a thousand in a transaction, from the oldest to the newest,
// and returns how many it released. The filter's Limit is not used. Progress: see CancelAll.
func (q *Queue) ReleaseAll(ctx context.Context, f JobFilter, progress ...func(released int)) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("release", err)
	}
	if f.State != "" && f.State != Reserved {
		return 0, wrap("release", fmt.Errorf("jobs that are %s: only those that are reserved are released", f.State))
	}
	f.Limit, f.State = batch, Reserved
	if err := f.check(); err != nil {
		return 0, wrap("release", err)
	}
	total, err := changeAll(ctx, store, f, JobChange{Release: true}, progress)
	return total, wrap("release", err)
}

// changeAll changes what passes the filter, page by page.
func changeAll(ctx context.Context, store Store, f JobFilter, c JobChange, progress []func(int)) (total int, err error) {
	for {
		changed, err := store.ChangeJobs(ctx, f, c)
		total += len(changed)
		tell(progress, total)
		if err != nil || len(changed) < f.Limit {
			return total, err
		}
		f.After = slices.Max(changed)
	}
}

func tell(progress []func(int), n int) {
	for _, told := range progress {
		told(n)
	}
}

// why tells whether a job that was not changed is not there at all.
func (q *Queue) why(ctx context.Context, id int64, otherwise error) error {
	_, err := q.Job(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		otherwise = ErrNotFound
	case err != nil:
		return err
	}
	return fmt.Errorf("job %d: %w", id, otherwise)
}

// Clear deletes the jobs of a queue, or under the empty name all jobs, a thousand at a time, and returns how many it deleted. Jobs that a
// worker has are deleted only with includeReserved: their workers then lose their reservations. Progress: see CancelAll.
func (q *Queue) Clear(ctx context.Context, queue string, includeReserved bool, progress ...func(deleted int)) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("clear", err)
	}
	total, err := changeAll(ctx, store, JobFilter{Queue: queue, NotReserved: !includeReserved, Limit: batch}, JobChange{Delete: true}, progress)
	return total, wrap("clear", err)
}

// FailedJobs returns failed jobs, the newest first, a page at a time: FailedFilter.Before takes the last id of the page before.
func (q *Queue) FailedJobs(ctx context.Context, f FailedFilter) ([]FailedJob, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("failed jobs", err)
	}
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return nil, wrap("failed jobs", err)
	}
	if f.TextMax < 0 {
		return nil, wrap("failed jobs", fmt.Errorf("texts of %d characters: it must be at least 1, or 0 for no limit", f.TextMax))
	}
	jobs, err := store.FailedJobs(ctx, f)
	return jobs, wrap("failed jobs", err)
}

// FailedJob returns one failed job by its own id, or ErrNotFound.
func (q *Queue) FailedJob(ctx context.Context, id int64) (FailedJob, error) {
	jobs, err := q.FailedJobs(ctx, FailedFilter{IDs: []int64{id}})
	if err != nil {
		return FailedJob{}, err
	}
	if len(jobs) == 0 {
		return FailedJob{}, wrap("failed job", fmt.Errorf("%d: %w", id, ErrNotFound))
	}
	return jobs[0], nil
}

// FailedGroups groups the newest failed jobs that pass the filter, at most most of them, by queue, name and like errors: their words with
// digits are taken for the same, but for numbers of up to three digits. The largest group comes first. The filter's Limit is not used.
func (q *Queue) FailedGroups(ctx context.Context, f FailedFilter, most int) ([]FailedGroup, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("failed groups", err)
	}
	if most < 1 {
		return nil, wrap("failed groups", fmt.Errorf("groups of %d failed jobs: it must be at least 1", most))
	}
	f.Limit = 0
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return nil, wrap("failed groups", err)
	}
	f.Limit = most
	groups, err := store.FailedGroups(ctx, f)
	return likeErrors(groups), wrap("failed groups", err)
}

// Retry moves all failed jobs that pass the filter back to their queues, with new ids, no attempts and available now, a thousand in a
// transaction, and returns how many it moved. Jobs whose unique key another job has by now stay failed, and are told by a
// *DuplicateError; ids that are not there by ErrNotFound. The filter's Limit is not used. Progress: see CancelAll.
func (q *Queue) Retry(ctx context.Context, f FailedFilter, progress ...func(retried int)) (int, error) {
	return q.changeFailed(ctx, "retry", f, RetryFailed, progress)
}

// Forget deletes all failed jobs that pass the filter, a thousand in a transaction, and returns how many it deleted. Ids that are not
// there are told by ErrNotFound. The filter's Limit is not used. Progress: see CancelAll.
func (q *Queue) Forget(ctx context.Context, f FailedFilter, progress ...func(forgotten int)) (int, error) {
	return q.changeFailed(ctx, "forget", f, ForgetFailed, progress)
}

// changeFailed goes through all failed jobs that pass the filter, from the newest to the oldest.
func (q *Queue) changeFailed(ctx context.Context, operation string, f FailedFilter, c FailedChange, progress []func(int)) (int, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap(operation, err)
	}
	var total int
	var duplicates []Duplicate
	var errs []error
	page := func() (seen int, err error) {
		f.Limit = batch
		ids, left, err := store.ChangeFailed(ctx, f, c)
		total += len(ids)
		tell(progress, total)
		duplicates = append(duplicates, left...)
		for _, d := range left {
			ids = append(ids, d.Failed)
		}
		if f.IDs != nil && err == nil {
			for _, id := range missing(f.IDs, ids) {
				errs = append(errs, fmt.Errorf("failed job %d: %w", id, ErrNotFound))
			}
		}
		if len(ids) > 0 {
			f.Before = slices.Min(ids)
		}
		return len(ids), err
	}
	if f.IDs != nil {
		for ids := range slices.Chunk(f.IDs, batch) {
			f.IDs, f.Before = ids, 0
			if _, err := page(); err != nil {
				return total, wrap(operation, err)
			}
		}
	} else {
		for more := true; more; {
			seen, err := page()
			if err != nil {
				return total, wrap(operation, err)
			}
			more = seen == batch
		}
	}
	if duplicates != nil {
		errs = append(errs, &DuplicateError{Duplicates: duplicates})
	}
	return total, wrap(operation, errors.Join(errs...))
}

// Queues returns what the queues hold, by name; under the empty name stands what was said about all queues. Each number is counted up to
// most, so that millions of jobs take no longer: see QueueInfo.CountedTo. 0: however far it goes.
func (q *Queue) Queues(ctx context.Context, most int64) ([]QueueInfo, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("queues", err)
	}
	if most < 0 {
		return nil, wrap("queues", fmt.Errorf("a count up to %d: it must be at least 1, or 0 for no limit", most))
	}
	queues, err := store.Queues(ctx, most)
	return queues, wrap("queues", err)
}

// Control tells the workers of a queue, or under the empty name all workers, what an operator wants.
func (q *Queue) Control(ctx context.Context, queue string, c ControlChange) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("control", err)
	}
	if queue != "" {
		if err := CheckQueueName(queue); err != nil {
			return wrap("control", err)
		}
	}
	switch {
	case c.Pause && c.Resume:
		err = errors.New("pause and resume at once")
	case c.PauseFor < 0 || c.PauseFor > maxDelay:
		err = fmt.Errorf("a pause of %v: it must be between 0 (until resumed) and a hundred years", c.PauseFor)
	case c.Expire != nil && (*c.Expire < 0 || *c.Expire > maxDelay):
		err = fmt.Errorf("an expire of %v: it must be between 0 (never) and a hundred years", *c.Expire)
	default:
		err = store.Control(ctx, queue, c)
	}
	return wrap("control", err)
}

// Workers returns the workers that have registered, by start.
func (q *Queue) Workers(ctx context.Context) ([]Worker, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("workers", err)
	}
	workers, err := store.Workers(ctx)
	return workers, wrap("workers", err)
}

// SetConcurrency tells a worker to run so many handlers at once instead of what it was started with; 0: that again. The worker does so
// within two seconds. The error is ErrNoWorker if there is no such worker.
func (q *Queue) SetConcurrency(ctx context.Context, worker string, n int) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("set concurrency", err)
	}
	const most = 1 << 20
	if n < 0 || n > most {
		return wrap("set concurrency", fmt.Errorf("concurrency is %d: it must be between 1 and %d, or 0 for the worker's own", n, most))
	}
	found, err := store.ChangeWorker(ctx, worker, n)
	if err == nil && !found {
		err = fmt.Errorf("%q: %w", worker, ErrNoWorker)
	}
	return wrap("set concurrency", err)
}

func (f *JobFilter) check() error {
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return err
	}
	switch f.State {
	case "", Ready, Delayed, Reserved:
	default:
		return fmt.Errorf("unknown state %q: use ready, delayed or reserved", f.State)
	}
	if f.PayloadMax < 0 {
		return fmt.Errorf("payloads of %d characters: it must be at least 1, or 0 for no limit", f.PayloadMax)
	}
	for _, field := range f.Fields {
		if len(field.Path) == 0 {
			return errors.New("a condition on a field of the data names none")
		}
		for _, key := range field.Path {
			if key == "" || strings.ContainsAny(key, "\"\\\x00") || !utf8.ValidString(key) {
				return fmt.Errorf("no field of the data is looked for by the key %q: it must not be empty or have a quote or a backslash", key)
			}
		}
	}
	return nil
}

func checkFilter(limit *int, ids []int64) error {
	if *limit == 0 {
		*limit = defaultLimit
	}
	if len(ids) > batch {
		return fmt.Errorf("%d ids at once: at most %d", len(ids), batch)
	}
	if *limit < 0 || *limit > batch {
		return fmt.Errorf("limit is %d: it must be between 1 and %d", *limit, batch)
	}
	return nil
}

func missing(wanted, got []int64) []int64 {
	have := make(map[int64]bool, len(got))
	for _, id := range got {
		have[id] = true
	}
	var not []int64
	for _, id := range wanted {
		if !have[id] {
			not = append(not, id)
		}
	}
	return not
}
