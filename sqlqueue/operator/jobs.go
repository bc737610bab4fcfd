package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

// jobChange is what ChangeJobs does. Fields left nil stay as they are.
type jobChange struct {
	Delete  bool   // the rest is ignored
	Undo    string // with Delete: the jobs are kept under it, see Undoable; empty: they are not kept
	Release bool   // the reservation ends, the job is available now; other fields are ignored

	Queue    *string
	Priority *int16
	At       *time.Time
	Payload  []byte
}

// Jobs returns jobs by ascending id, a page at a time: JobFilter.After takes the last id of the page before.
func (o *Operator) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("jobs", err)
	}
	if err := f.check(); err != nil {
		return nil, wrap("jobs", err)
	}
	jobs, err := t.jobs(ctx, f)
	return jobs, wrap("jobs", err)
}

// CountJobs counts the jobs that pass the filter, up to most, window by window where no index helps: see SearchJobs. The filter's Limit
// is not used. Progress is called after each statement with the number so far.
func (o *Operator) CountJobs(ctx context.Context, f JobFilter, most int, progress ...func(counted int)) (int, error) {
	t, err := o.open(ctx)
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
	total := 0
	err = t.inWindows(ctx, f, func(f JobFilter) (bool, error) {
		f.Limit = most - total
		n, err := t.countJobs(ctx, f)
		total += n
		tell(progress, total)
		return total >= most, err
	})
	return total, wrap("count jobs", err)
}

// Window returns the id of the nth job after an id, or of the last if there are fewer, or 0 if there are none. A search among millions of
// jobs for a few of which no index knows takes long; it can go window by window, by JobFilter's After and Until, and tell how far it is.
func (o *Operator) Window(ctx context.Context, after int64, n int) (int64, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap("window", err)
	}
	if n < 1 {
		return 0, wrap("window", fmt.Errorf("a window of %d jobs: it must be at least 1", n))
	}
	last, err := t.window(ctx, after, n)
	return last, wrap("window", err)
}

// Job returns one job, or ErrNotFound.
func (o *Operator) Job(ctx context.Context, id int64) (Job, error) {
	jobs, err := o.Jobs(ctx, JobFilter{IDs: []int64{id}})
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
// *sqlqueue.DuplicateError if its unique key is taken in the new queue. Of two edits at once, the later one wins.
func (o *Operator) Edit(ctx context.Context, id int64, edit JobEdit) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("edit", err)
	}
	change := jobChange{Queue: edit.Queue, At: edit.At}
	if edit.Queue != nil {
		if err := sqlqueue.CheckQueueName(*edit.Queue); err != nil {
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
		if err := rule.Time(*edit.At); err != nil {
			return wrap("edit", err)
		}
	}
	if edit.Name != nil || edit.Data != nil {
		if change.Payload, err = o.editPayload(ctx, id, edit); err != nil {
			return wrap("edit", err)
		}
	}
	changed, err := t.changeJobs(ctx, JobFilter{IDs: []int64{id}, NotReserved: true, Limit: 1}, change)
	if err == nil && len(changed) == 0 {
		err = o.why(ctx, id, ErrReserved)
	}
	return wrap("edit", err)
}

// editPayload changes the name or the data in a job's payload, and nothing else: settings may be there that others understand, and one that
// is wrong is no reason to refuse a change of the data.
func (o *Operator) editPayload(ctx context.Context, id int64, edit JobEdit) ([]byte, error) {
	job, err := o.Job(ctx, id)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	old := []byte(job.Payload)
	if edit.Data == nil { // it is encrypted for the old name
		if old, err = o.queue.DecryptPayload(old, false); err != nil {
			return nil, err
		}
	}
	members := jsonobject.Parse(old) // none if it is no object: name and data make one of it
	if edit.Name != nil {
		name, err := jsonobject.Marshal(*edit.Name)
		if err != nil {
			return nil, err
		}
		members.Set("job", name)
	}
	if edit.Data != nil {
		data, err := o.queue.Config().Codec.Marshal(edit.Data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		members.Set("data", data)
	}
	for _, member := range []string{"job", "data"} {
		if n := members.Count(member); n > 1 {
			return nil, fmt.Errorf("payload has two members %q: change both the name and the data, which leaves one of each", member)
		}
	}
	if members.Text("job") == "" {
		return nil, errors.New(`payload has no "job": give the name of the handler too`)
	}
	payload, err := members.Encode()
	if err == nil && !json.Valid(payload) {
		err = errors.New("data is not valid JSON")
	}
	if err != nil {
		return nil, err
	}
	return o.queue.EncryptPayload(payload)
}

// Cancel deletes jobs that no worker has, and returns how many it deleted. For the others the error says why not, by id: ErrReserved
// or ErrNotFound.
func (o *Operator) Cancel(ctx context.Context, ids ...int64) (int, error) {
	return o.changeEach(ctx, "cancel", ids, JobFilter{NotReserved: true}, jobChange{Delete: true, Undo: o.undo}, ErrReserved)
}

// Release puts reserved jobs back by hand, available now: for jobs whose worker is known to be gone, where expire is off. It returns
// how many it released; for the others the error says why not, by id: ErrNotReserved or ErrNotFound. If the worker does live, it loses its
// reservation.
func (o *Operator) Release(ctx context.Context, ids ...int64) (int, error) {
	return o.changeEach(ctx, "release", ids, JobFilter{State: Reserved}, jobChange{Release: true}, ErrNotReserved)
}

func (o *Operator) changeEach(ctx context.Context, operation string, ids []int64, f JobFilter, c jobChange, refused error) (int, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap(operation, err)
	}
	total := 0
	var errs []error
	for ids := range slices.Chunk(ids, batch) {
		f.IDs, f.Limit = ids, batch
		changed, err := t.changeJobs(ctx, f, c)
		if err != nil {
			return total, wrap(operation, err)
		}
		total += len(changed)
		for _, id := range missing(f.IDs, changed) {
			errs = append(errs, o.why(ctx, id, refused))
		}
	}
	return total, wrap(operation, errors.Join(errs...))
}

// CancelAll deletes the jobs that pass the filter and that no worker has, a thousand in a transaction, from the oldest to the newest,
// and returns how many it deleted. The filter's Limit is not used. Progress is called after each transaction with the number so far.
func (o *Operator) CancelAll(ctx context.Context, f JobFilter, progress ...func(deleted int)) (int, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap("cancel", err)
	}
	f.Limit, f.NotReserved = batch, true
	if err := f.check(); err != nil {
		return 0, wrap("cancel", err)
	}
	total, err := changeAll(ctx, t, f, jobChange{Delete: true, Undo: o.undo}, progress)
	return total, wrap("cancel", err)
}

// ReleaseAll puts the reserved jobs that pass the filter back, as Release does, a thousand in a transaction, from the oldest to the newest,
// and returns how many it released. The filter's Limit is not used. Progress: see CancelAll.
func (o *Operator) ReleaseAll(ctx context.Context, f JobFilter, progress ...func(released int)) (int, error) {
	t, err := o.open(ctx)
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
	total, err := changeAll(ctx, t, f, jobChange{Release: true}, progress)
	return total, wrap("release", err)
}

// changeAll changes what passes the filter, page by page, and window by window where no index helps.
func changeAll(ctx context.Context, t *tables, f JobFilter, c jobChange, progress []func(int)) (total int, err error) {
	err = t.inWindows(ctx, f, func(f JobFilter) (bool, error) {
		for {
			changed, err := t.changeJobs(ctx, f, c)
			total += len(changed)
			tell(progress, total)
			if err != nil || len(changed) < f.Limit {
				return false, err
			}
			f.After = slices.Max(changed)
		}
	})
	return total, err
}

// why tells whether a job that was not changed is not there at all.
func (o *Operator) why(ctx context.Context, id int64, otherwise error) error {
	_, err := o.Job(ctx, id)
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
func (o *Operator) Clear(ctx context.Context, queue string, includeReserved bool, progress ...func(deleted int)) (int, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap("clear", err)
	}
	total, err := changeAll(ctx, t, JobFilter{Queue: queue, NotReserved: !includeReserved, Limit: batch}, jobChange{Delete: true}, progress)
	return total, wrap("clear", err)
}
