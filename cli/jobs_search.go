package cli

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// window is how many jobs are searched by one statement where no index helps.
const window = 100_000

// inWindows calls do with a filter until do has enough: if the filter has conditions that no index helps with, for one window of the
// jobs after the other, so that no statement takes long.
func inWindows(ctx context.Context, q *sqlqueue.Queue, f operator.JobFilter, do func(operator.JobFilter) (enough bool, err error)) error {
	if f.Name == "" && f.Fields == nil && f.OlderThan == 0 && f.CreatedAfter.IsZero() && f.CreatedBefore.IsZero() {
		_, err := do(f)
		return err
	}
	for {
		var err error
		if f.Until, err = operator.New(q).Window(ctx, f.After, window); err != nil || f.Until == 0 {
			return err
		}
		isLast := f.Until-f.After < window // what is pushed meanwhile is not waited for
		if enough, err := do(f); err != nil || enough || isLast {
			return err
		}
		f.After = f.Until
	}
}

// searchJobs returns up to limit jobs, a thousand from a statement, and what it knows of more: that there are some, that there can be some
// behind the last window that it has searched, or nothing.
func searchJobs(ctx context.Context, q *sqlqueue.Queue, f operator.JobFilter, limit int) (jobs []sqlqueue.Job, more string, err error) {
	err = inWindows(ctx, q, f, func(f operator.JobFilter) (bool, error) {
		found, err := pages(limit+1-len(jobs), func(n int) ([]sqlqueue.Job, error) {
			f.Limit = n
			page, err := operator.New(q).Jobs(ctx, f)
			if len(page) > 0 {
				f.After = page[len(page)-1].ID
			}
			return page, err
		})
		jobs = append(jobs, found...)
		switch {
		case len(jobs) > limit:
			more = "there are more"
		case len(jobs) == limit && f.Until > 0:
			more = "there can be more"
		}
		return len(jobs) >= limit, err
	})
	return jobs[:min(len(jobs), limit)], more, err
}

// countJobs counts jobs up to countedTo.
func countJobs(ctx context.Context, q *sqlqueue.Queue, f operator.JobFilter) (total int, err error) {
	err = inWindows(ctx, q, f, func(f operator.JobFilter) (bool, error) {
		n, err := operator.New(q).CountJobs(ctx, f, countedTo-total)
		total += n
		return total == countedTo, err
	})
	return total, err
}

// pages collects up to limit rows, a thousand at a time.
func pages[T any](limit int, page func(n int) ([]T, error)) (rows []T, err error) {
	const most = 1000
	for len(rows) < limit {
		n := min(limit-len(rows), most)
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
