package storetest

import (
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

var schemaCases = []testCase{
	{
		"Check finds nothing wrong",
		"an application asks before it starts",
		func(f *fixture) { f.must(f.open().Check(f.Context())) },
	},
	{
		"missing tables are ErrNotMigrated in every operation",
		"people who forgot to migrate must read what to do, whatever they called first",
		func(f *fixture) {
			c := f.open()
			defer f.rename("jobs", "failed_jobs", "queues", "workers", "counts", "subscriptions", "sqlqueue_migrations")()
			ctx := f.Context()
			_, push := c.Push(ctx, sqlqueue.Named("job", nil))
			_, exchange := c.Exchange(ctx, sqlqueue.Exchange{Number: c.number(), Limit: 1, Reserve: from("default")})
			_, jobs := c.Jobs(ctx, sqlqueue.JobFilter{})
			_, cancel := c.Cancel(ctx, 1)
			_, failedJobs := c.FailedJobs(ctx, sqlqueue.FailedFilter{})
			_, retry := c.Retry(ctx, sqlqueue.FailedFilter{})
			_, forget := c.Forget(ctx, sqlqueue.FailedFilter{})
			_, queues := c.Queues(ctx, 0)
			_, workers := c.Workers(ctx)
			_, counted := c.Queues(ctx, 10)
			_, counts := c.Counts(ctx, time.Hour)
			_, countJobs := c.CountJobs(ctx, sqlqueue.JobFilter{}, 10)
			_, window := c.Window(ctx, 0, 10)
			_, cancelAll := c.CancelAll(ctx, sqlqueue.JobFilter{})
			_, groups := c.FailedGroups(ctx, sqlqueue.FailedFilter{}, 10)
			_, subscriptions := c.Subscriptions(ctx)
			for operation, err := range map[string]error{
				"check": c.Check(ctx), "push": push, "exchange": exchange, "jobs": jobs, "cancel": cancel, "failed jobs": failedJobs,
				"retry": retry, "forget": forget, "queues": queues, "workers": workers,
				"queues, to a limit": counted, "counts": counts, "count jobs": countJobs, "window": window, "cancel all": cancelAll, "groups": groups,
				"subscriptions": subscriptions, "unsubscribe": c.Unsubscribe(ctx, "mailer"),
				"subscribe": c.Subscribe(ctx, sqlqueue.Subscription{Name: "mailer", URL: "https://example.com", Queue: "mail"}),
				"control":   c.Control(ctx, "mail", sqlqueue.ControlChange{Pause: true}),
			} {
				if !errors.Is(err, sqlqueue.ErrNotMigrated) {
					f.Errorf("%s: got %v, want ErrNotMigrated", operation, err)
				}
			}
		},
	},
	{
		"tables of another version are a *SchemaError",
		"a program must not work on tables that it does not know",
		func(f *fixture) {
			c := f.open()
			f.exec("INSERT INTO {sqlqueue_migrations} (version_id, is_applied) VALUES (999, TRUE)")
			defer f.exec("DELETE FROM {sqlqueue_migrations} WHERE version_id = 999")
			err := c.Check(f.Context())
			var schema *sqlqueue.SchemaError
			if !errors.As(err, &schema) || schema.Have != 999 || schema.Need != sqlqueue.SchemaVersion {
				f.Errorf("got %v, want a *SchemaError with 999 and %d", err, sqlqueue.SchemaVersion)
			}
		},
	},
}

// rename takes tables away, and gives them back when the returned function is called.
func (f *fixture) rename(tables ...string) (back func()) {
	f.Helper()
	for _, table := range tables {
		f.exec("ALTER TABLE " + f.db.Table(table) + " RENAME TO " + f.db.Table(table+"_away"))
	}
	return func() {
		for _, table := range tables {
			f.exec("ALTER TABLE " + f.db.Table(table+"_away") + " RENAME TO " + f.db.Table(table))
		}
	}
}
