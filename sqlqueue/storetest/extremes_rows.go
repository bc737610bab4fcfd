package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// extremeTest makes rows, and looks at what a store does beside rows that have an extreme in them. It is past the history, which knows
// nothing of rows that change by themselves.
type extremeTest struct {
	*fixture
	q        *sqlqueue.Queue
	ctx      context.Context //nolint:containedctx // of one test
	numbers  int
	reserved []sqlqueue.Job
	wrong    []error
}

func (d *extremeTest) push(n int) error {
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("job", i)
	}
	_, err := d.q.PushMany(d.ctx, jobs)
	return err
}

func (d *extremeTest) exchange(x driver.Exchange) (driver.Exchanged, error) {
	d.numbers++
	x.Number, x.Everything = fmt.Sprintf("extreme-%d", d.numbers), true
	return d.q.Exchange(d.ctx, x)
}

func (d *extremeTest) reserve(n int) error {
	return d.poll(func() bool {
		answer, err := d.exchange(driver.Exchange{Limit: n, Reserve: from("default")})
		d.must(err)
		d.reserved = append(d.reserved, answer.Reserved...)
		return len(d.reserved) == n
	})
}

func (d *extremeTest) failAll() error {
	var settle []driver.Settlement
	for _, j := range d.reserved {
		settle = append(settle, fail(j, "an error", "a stack"))
	}
	_, err := d.q.Exchange(d.ctx, driver.Exchange{Settle: settle})
	return err
}

func (d *extremeTest) control(n int, change operator.ControlChange) error {
	var errs []error
	for i := range n {
		errs = append(errs, operator.New(d.q).Control(d.ctx, fmt.Sprintf("controlled-%03d", i), change))
	}
	return errors.Join(errs...)
}

func (d *extremeTest) workers(n int) error {
	var errs []error
	for i := range n {
		errs = append(errs, d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{
			ID: fmt.Sprintf("worker%03d", i), Name: "name", Host: "host", PID: 1, Queues: []string{"default"}, Concurrency: 1,
		}}))
	}
	return errors.Join(errs...)
}

func (d *extremeTest) counts(n int) error {
	minute := time.Now().UTC().Truncate(time.Minute)
	counts := make([]driver.Count, n)
	for i := range counts {
		counts[i] = driver.Count{Minute: minute, Queue: "default", Pushed: 1, Done: 1, Failed: 1, Released: 1}
	}
	return d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{ID: "counting"}, Counts: counts})
}

func (d *extremeTest) subscriptions(n int) error {
	var errs []error
	for i := range n {
		name := fmt.Sprintf("subscription-%03d", i)
		errs = append(errs, operator.New(d.q).Subscribe(d.ctx, operator.Subscription{Name: name, URL: "https://example.com", Queue: name}))
	}
	return errors.Join(errs...)
}
