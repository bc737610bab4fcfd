package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Config holds a Queue's settings. Its zero value works.
type Config struct {
	// Queue is where jobs go without OnQueue. Default "default".
	Queue string

	// Prefix is put before the names of all tables: letters, digits and underscores, at most 32. Default: no prefix.
	Prefix string

	// Schema is the PostgreSQL schema that holds the tables: letters, digits and underscores, at most 63, capitals count. Default: the
	// first schema of the search_path that has them. The other databases have no schemas: there it is an error.
	Schema string

	// Codec turns jobs' data into JSON and back. Default JSON.
	Codec Codec

	// Cipher encrypts the data of jobs in the tables, and the results that go from job to job; workers decrypt them before handlers run.
	// See package encrypt. Default: nil, nothing is encrypted.
	Cipher Cipher

	// Runner has the handlers for sync mode: a *worker.Mux.
	Runner Runner

	// Sync runs every pushed job at once, in the goroutine that pushes it, with the Runner's handler: Push returns the handler's error,
	// and no row is written. It is meant for tests and small tools. A delayed push is then an error. Default false; the option Sync
	// does the same for one push.
	Sync bool

	// OnPush is called with the jobs of each push: see PushHook. Default: nil.
	OnPush PushHook
}

// Runner runs a job in sync mode. A *worker.Mux is one.
type Runner interface {
	RunJob(ctx context.Context, q *Queue, job Job) error
}

// Queue pushes jobs, and serves workers and operators. It is safe for concurrent use, except when it is bound to a transaction: then it
// is as safe as the transaction. There is nothing to close.
type Queue struct {
	config Config
	queues []string // Config.Queue alone
	store  driver.Store
	pushes *bell // shared with the queues that are bound to transactions
	broken error // what Bind answered; every operation returns it

	gatherer *gatherer // nil: bound to a transaction
}

// New returns a Queue over a store. Applications call the New of a database's package instead.
func New(store driver.Store, config Config) (*Queue, error) {
	if config.Queue == "" {
		config.Queue = "default"
	}
	if config.Codec == nil {
		config.Codec = JSON
	}
	if err := CheckQueueName(config.Queue); err != nil {
		return nil, wrap("new", err)
	}
	if err := CheckPrefix(config.Prefix); err != nil {
		return nil, wrap("new", err)
	}
	if err := CheckSchemaName(config.Schema); err != nil {
		return nil, wrap("new", err)
	}
	if config.Sync && config.Runner == nil {
		return nil, wrap("new", errors.New("sync mode needs handlers: set Config.Runner"))
	}
	return &Queue{config: config, queues: []string{config.Queue}, store: store, pushes: &bell{}, gatherer: newGatherer(store)}, nil
}

// CheckPrefix says what is wrong with a prefix of the tables' names.
func CheckPrefix(prefix string) error {
	if !validPrefix.MatchString(prefix) {
		return fmt.Errorf("the table prefix %.40q is not valid: use at most 32 letters, digits and underscores (A-Z a-z 0-9 _)", prefix)
	}
	return nil
}

var validPrefix = regexp.MustCompile(`^[A-Za-z0-9_]{0,32}$`)

// CheckSchemaName says what is wrong with the name of a PostgreSQL schema for the tables.
func CheckSchemaName(schema string) error {
	if !validSchema.MatchString(schema) {
		return fmt.Errorf("the schema %.70q is not valid: use at most 63 letters, digits and underscores (A-Z a-z 0-9 _)", schema)
	}
	if strings.HasPrefix(schema, "pg_") {
		return fmt.Errorf("the schema %q is not valid: PostgreSQL keeps names that begin with pg_ for itself", schema)
	}
	return nil
}

var validSchema = regexp.MustCompile(`^[A-Za-z0-9_]{0,63}$`)

// Config returns the settings, with the defaults filled in.
func (q *Queue) Config() Config { return q.config }

// Bind returns the same Queue over another store, for the packages of databases: WithTx is Bind with a store that is bound to a
// transaction. When bind returns an error, so does every operation of the returned Queue; so it is when q is nil.
//
// A Store that has a method Bind(func(Store) (Store, error)) (Store, error) answers in bind's place: so a Store that wraps another
// can wrap the bound one too.
func (q *Queue) Bind(bind func(driver.Store) (driver.Store, error)) *Queue {
	if q == nil {
		return &Queue{
			pushes: &bell{}, broken: errors.New("the queue is nil: it is made by New of the database's package, such as pgqueue.New"),
		}
	}
	bound := *q
	bound.gatherer = nil
	switch own, ok := q.store.(binder); {
	case q.broken != nil:
	case ok:
		bound.store, bound.broken = own.Bind(bind)
	default:
		bound.store, bound.broken = bind(q.store)
	}
	return &bound
}

type binder interface {
	Bind(bind func(driver.Store) (driver.Store, error)) (driver.Store, error)
}

// Store returns the Queue's store, for packages that work on it beside this one. The error says why there is none, or that ctx has
// ended.
func (q *Queue) Store(ctx context.Context) (driver.Store, error) { return q.open(ctx) }

// open gives an operation its store, or the reason why there is none.
func (q *Queue) open(ctx context.Context) (driver.Store, error) {
	if q.broken != nil {
		return nil, q.broken
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return q.store, nil
}

// Check reports whether the database can be worked with: it answers, is of a version that is supported, and has the tables of the
// right version. Otherwise the error is ErrNotMigrated, ErrUnsupportedServer or a *SchemaError, or says why it could not find out.
func (q *Queue) Check(ctx context.Context) error {
	store, err := q.open(ctx)
	if err == nil {
		err = store.Check(ctx)
	}
	return wrap("check", err)
}

// Exchange is a worker's conversation with the database: see Store.
func (q *Queue) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	store, err := q.open(ctx)
	if err != nil {
		return driver.Exchanged{}, wrap("exchange", err)
	}
	for _, settlement := range x.Settle {
		if settlement.Outcome < driver.Delete || settlement.Outcome > driver.Fail {
			return driver.Exchanged{}, wrap("exchange", fmt.Errorf("outcome %d of job %d is unknown", settlement.Outcome, settlement.ID))
		}
	}
	if x.Limit > 0 && (x.Number == "" || len(x.Number) > 64) {
		return driver.Exchanged{}, wrap("exchange",
			fmt.Errorf("the number %q: an exchange that reserves needs one, of at most 64 characters", x.Number))
	}
	if err := q.encryptNext(x.Settle); err != nil {
		return driver.Exchanged{}, wrap("exchange", err)
	}
	answer, err := store.Exchange(ctx, x)
	if err == nil {
		q.ringNext(x.Settle)
	}
	return answer, wrap("exchange", err)
}

// ringNext tells of jobs that were pushed because others have ended.
func (q *Queue) ringNext(settled []driver.Settlement) {
	for _, s := range settled {
		if s.Push != nil {
			q.pushes.ring(s.Push)
		}
	}
}

// Beat writes what a worker tells of itself: see driver.Store.
func (q *Queue) Beat(ctx context.Context, b driver.Beat) error {
	store, err := q.open(ctx)
	if err == nil {
		err = store.Beat(ctx, b)
	}
	return wrap("beat", err)
}

// Throttle lets a queue rest for a time, for workers: see driver.Throttler. The error is errors.ErrUnsupported if the store cannot.
func (q *Queue) Throttle(ctx context.Context, queue string, d time.Duration) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("throttle", err)
	}
	throttler, ok := driver.As[interface {
		driver.Store
		driver.Throttler
	}](store)
	if !ok {
		return wrap("throttle", errors.ErrUnsupported)
	}
	return wrap("throttle", throttler.Throttle(ctx, queue, d))
}

// inline is the reservation of a job that runs in sync mode.
var inline Reservation

// HasReservation is a job that a worker has reserved: a Reservation, a Job, or a handler's *worker.Job. If it also has a method
// Completed(), Delete calls it when it has removed the row: that is how a worker learns that its handler has completed the job. If it has
// a method NextJobs() ([]driver.NewJob, error), Delete pushes these in the same transaction: they are those of the job's Then. If it has a
// method Kept() *driver.Keep, and that is not nil, Delete keeps the job so, in the same transaction.
type HasReservation interface {
	Reservation() Reservation
}

// Hold locks a job's row until the end of the transaction that q is bound to. As the transaction's first statement it makes sure that
// the job is still the caller's, and stays so: while the row is locked, the reservation cannot expire. It returns
// ErrReservationLost if the job is not the caller's any more. A job in sync mode has no row: there is nothing to hold.
func (q *Queue) Hold(ctx context.Context, job HasReservation) error {
	store, err := q.open(ctx)
	if r := job.Reservation(); err == nil && r != inline {
		err = store.Hold(ctx, r)
	}
	return wrap("hold", err)
}

// Delete removes a job that the caller has reserved. With a Queue that is bound to a transaction it completes the job in that
// transaction: it is done if and only if the caller commits. It returns ErrReservationLost, and removes nothing, if the job is not the
// caller's any more. A job in sync mode has no row: there is nothing to delete.
func (q *Queue) Delete(ctx context.Context, job HasReservation) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("delete", err)
	}
	r := job.Reservation()
	if r == inline {
		return nil
	}
	settle := []driver.Settlement{{Reservation: r, Outcome: driver.Delete}}
	if has, ok := job.(interface {
		NextJobs() ([]driver.NewJob, error)
	}); ok {
		if settle[0].Push, err = has.NextJobs(); err != nil {
			return wrap("delete", err)
		}
	}
	if has, ok := job.(interface{ Kept() *driver.Keep }); ok {
		settle[0].Keep = has.Kept()
	}
	if err := q.encryptNext(settle); err != nil {
		return wrap("delete", err)
	}
	if err := store.Hold(ctx, r); err != nil {
		return wrap("delete", err)
	}
	answer, err := store.Exchange(ctx, driver.Exchange{Settle: settle})
	if err == nil && len(answer.Lost)+len(answer.Locked) > 0 {
		err = ErrReservationLost
	}
	if err == nil {
		q.ringNext(settle)
	}
	if completed, ok := job.(interface{ Completed() }); ok && err == nil {
		completed.Completed()
	}
	return wrap("delete", err)
}
