package operator

import "context"

// windowSize is how many jobs one statement looks at where no index helps.
var windowSize int64 = 100_000 // tests make it smaller

// More says whether there are more rows behind those that a search has returned.
type More int

// What is known of more rows.
const (
	NoMore    More = iota // there are none
	MaybeMore             // the search has stopped at its limit, before the end of the table
	HasMore               // there is at least one
)

// SearchJobs returns up to limit jobs that pass the filter, by ascending id, and whether there are more. Unlike Jobs it takes any limit: it
// reads a thousand jobs with a statement, and where no index knows the filter's conditions it looks at 100,000 jobs with a statement, so
// that none takes long among millions. The filter's Limit is not used. Progress is told after each statement how many jobs were found until
// then.
func (o *Operator) SearchJobs(ctx context.Context, f JobFilter, limit int, progress ...func(found int)) ([]Job, More, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, NoMore, wrap("jobs", err)
	}
	f.Limit, f.Newest = 0, false
	if err := f.check(); err != nil {
		return nil, NoMore, wrap("jobs", err)
	}
	var jobs []Job
	more := NoMore
	err = t.inWindows(ctx, f, func(f JobFilter) (bool, error) {
		found, err := pages(limit+1-len(jobs), func(n int) ([]Job, error) {
			f.Limit = n
			page, err := t.jobs(ctx, f)
			if len(page) > 0 {
				f.After = page[len(page)-1].ID
			}
			return page, err
		})
		jobs = append(jobs, found...)
		tell(progress, min(len(jobs), limit))
		switch {
		case len(jobs) > limit:
			more = HasMore
		case len(jobs) == limit && f.Until > 0:
			more = MaybeMore
		}
		return len(jobs) >= limit, err
	})
	return jobs[:min(len(jobs), limit)], more, wrap("jobs", err)
}

// SearchFailed returns up to limit failed jobs that pass the filter, the newest first, and whether there are more. Unlike FailedJobs it
// takes any limit: it reads a thousand with a statement. The filter's Limit is not used. Progress is told after each how many were found
// until then.
func (o *Operator) SearchFailed(ctx context.Context, f FailedFilter, limit int, progress ...func(found int)) ([]FailedJob, More, error) {
	found := 0
	jobs, err := pages(limit+1, func(n int) ([]FailedJob, error) {
		f.Limit = n
		page, err := o.FailedJobs(ctx, f)
		if len(page) > 0 {
			f.Before = page[len(page)-1].ID
		}
		found += len(page)
		tell(progress, min(found, limit))
		return page, err
	})
	if len(jobs) > limit {
		return jobs[:limit], HasMore, err
	}
	return jobs, NoMore, err
}

// isIndexed reports whether an index, or nothing but the table's order, leads to the jobs that pass the filter.
func (f *JobFilter) isIndexed() bool {
	return f.IDs != nil || f.Name == "" && f.Fields == nil && f.OlderThan == 0 && f.CreatedAfter.IsZero() && f.CreatedBefore.IsZero()
}

// inWindows calls do with the filter until do has enough. If no index helps with the filter, do gets one window of the jobs after the
// other.
func (t *tables) inWindows(ctx context.Context, f JobFilter, do func(JobFilter) (enough bool, err error)) error {
	if f.isIndexed() {
		_, err := do(f)
		return err
	}
	for end := f.Until; ; f.After = f.Until {
		last, err := t.window(ctx, f.After, int(windowSize))
		if err != nil || last == 0 {
			return err
		}
		isLast := last-f.After < windowSize // what is pushed meanwhile is not waited for
		if f.Until = last; end > 0 && last >= end {
			f.Until, isLast = end, true
		}
		if enough, err := do(f); err != nil || enough || isLast {
			return err
		}
	}
}

// pages collects up to limit rows, a thousand at a time.
func pages[T any](limit int, page func(n int) ([]T, error)) (rows []T, err error) {
	for len(rows) < limit {
		n := min(limit-len(rows), batch)
		got, err := page(n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
		if len(got) < n {
			break
		}
	}
	return rows, nil
}
