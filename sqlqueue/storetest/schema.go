package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
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
			defer f.rename(append(sqldb.Tables(), "sqlqueue_migrations")...)()
			ctx := f.Context()
			_, push := c.Push(ctx, sqlqueue.Named("job", nil))
			_, exchange := c.Exchange(ctx, driver.Exchange{Number: c.number(), Limit: 1, Reserve: from("default")})
			_, jobs := operator.New(c.Queue).Jobs(ctx, operator.JobFilter{})
			_, cancel := operator.New(c.Queue).Cancel(ctx, 1)
			_, failedJobs := operator.New(c.Queue).FailedJobs(ctx, operator.FailedFilter{})
			_, retry := operator.New(c.Queue).Retry(ctx, operator.FailedFilter{})
			_, forget := operator.New(c.Queue).Forget(ctx, operator.FailedFilter{})
			_, queues := operator.New(c.Queue).Queues(ctx, 0)
			_, workers := operator.New(c.Queue).Workers(ctx)
			_, counted := operator.New(c.Queue).Queues(ctx, 10)
			_, counts := operator.New(c.Queue).Counts(ctx, time.Hour)
			_, countJobs := operator.New(c.Queue).CountJobs(ctx, operator.JobFilter{}, 10)
			_, window := operator.New(c.Queue).Window(ctx, 0, 10)
			_, cancelAll := operator.New(c.Queue).CancelAll(ctx, operator.JobFilter{})
			_, groups := operator.New(c.Queue).FailedGroups(ctx, operator.FailedFilter{}, 10)
			_, subscriptions := operator.New(c.Queue).Subscriptions(ctx)
			for operation, err := range map[string]error{
				"check": c.Check(ctx), "push": push, "exchange": exchange, "jobs": jobs, "cancel": cancel, "failed jobs": failedJobs,
				"retry": retry, "forget": forget, "queues": queues, "workers": workers,
				"queues, to a limit": counted, "counts": counts,
				"count jobs": countJobs, "window": window, "cancel all": cancelAll, "groups": groups,
				"subscriptions": subscriptions, "unsubscribe": operator.New(c.Queue).Unsubscribe(ctx, "mailer"),
				"subscribe": operator.New(c.Queue).Subscribe(ctx, operator.Subscription{
					Name: "mailer", URL: "https://example.com", Queue: "mail",
				}),
				"control": operator.New(c.Queue).Control(ctx, "mail", operator.ControlChange{Pause: true}),
			} {
				if !errors.Is(err, sqlqueue.ErrNotMigrated) {
					f.Errorf("%s: got %v, want ErrNotMigrated", operation, err)
				}
			}
		},
	},
	{
		"tables of a later version are a *SchemaError if they say that older programs cannot work with them",
		"a program must not work on tables that it does not know, and a migration must not stop every old program",
		func(f *fixture) {
			c := f.open()
			f.exec("INSERT INTO {sqlqueue_migrations} (version_id, is_applied) VALUES (999, TRUE)")
			defer f.exec("DELETE FROM {sqlqueue_migrations} WHERE version_id = 999")
			f.must(c.Check(f.Context()))
			f.exec("INSERT INTO {job_schema} (compatible_from) VALUES (?)", driver.SchemaVersion+1)
			defer f.exec("DELETE FROM {job_schema} WHERE compatible_from > ?", driver.SchemaVersion)
			err := c.Check(f.Context())
			var schema *sqlqueue.SchemaError
			if !errors.As(err, &schema) || schema.Have != 999 || schema.Need != driver.SchemaVersion {
				f.Errorf("got %v, want a *SchemaError with 999 and %d", err, driver.SchemaVersion)
			}
		},
	},
}

// splitTable returns the schema of a table with the dot, if its name has one, and the rest of the name.
func (f *fixture) splitTable(name string) (schema, table string) {
	whole := f.db.Table(name)
	at := strings.LastIndexByte(whole, '.') + 1
	return whole[:at], whole[at:]
}

// rename takes tables away, and gives them back when the returned function is called.
func (f *fixture) rename(tables ...string) (back func()) {
	f.Helper()
	for _, table := range tables {
		_, away := f.splitTable(table + "_away")
		f.exec("ALTER TABLE " + f.db.Table(table) + " RENAME TO " + away)
	}
	return func() {
		for _, table := range tables {
			_, again := f.splitTable(table)
			f.exec("ALTER TABLE " + f.db.Table(table+"_away") + " RENAME TO " + again)
		}
	}
}
