package mysqlqueue

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
)

const (
	mostRows      = 1000     // of one INSERT
	mostBytes     = 1 << 20  // of one INSERT of more than one row
	aroundPayload = 16 << 10 // bytes of whatever else is in a packet with a payload, on its way in and out, at most
)

// connection is a *sql.Conn or a *sql.Tx.
type connection interface {
	operator.Executor
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// Push is that of sqlqueue.Store.
func (s *store) Push(ctx context.Context, jobs []sqlqueue.NewJob) ([]sqlqueue.Pushed, error) {
	packet, err := s.session(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	p := &push{store: s, packet: int(packet), jobs: jobs, pushed: make([]sqlqueue.Pushed, len(jobs))}
	if err := p.plan(); err != nil {
		return nil, err
	}
	switch {
	case s.bound != nil:
		p.on, p.alone = s.bound, false
		err = p.run(ctx)
	case len(p.plain)+len(p.keyed) == 1:
		err = p.commitEach(ctx)
	default:
		err = s.own(ctx, func(tx *sql.Tx) error {
			p.on, p.alone = tx, false
			return p.run(ctx)
		})
	}
	if err != nil {
		return nil, translate(err)
	}
	for _, job := range jobs {
		s.known.lanes.Learn(job.Queue, job.Priority)
	}
	return p.pushed, nil
}

// push is one Push on its way.
type push struct {
	store  *store
	packet int // the server's max_allowed_packet
	jobs   []sqlqueue.NewJob
	pushed []sqlqueue.Pushed
	plain  [][]int // indexes of jobs without a key, a statement each
	keyed  []int   // the others, in the order of their keys: no two producers wait for each other in a circle
	on     connection
	alone  bool // its statements commit by themselves
}

// plan sorts the jobs into statements.
func (p *push) plan() error {
	const around = 100 // bytes of a row without its texts
	largest, room := p.packet-aroundPayload, min(mostBytes, p.packet/4)
	var chunk []int
	size := 0
	for i, job := range p.jobs {
		if n := len(job.Payload); n > largest {
			return fmt.Errorf("the payload of job %d of %d has %d bytes: the server takes %d, which is its max_allowed_packet less %d",
				i+1, len(p.jobs), n, largest, aroundPayload)
		}
		if job.UniqueKey != "" {
			p.keyed = append(p.keyed, i)
			continue
		}
		n := len(job.Payload) + len(job.Queue) + around
		if len(chunk) == mostRows || len(chunk) > 0 && size+n > room {
			p.plain = append(p.plain, chunk)
			chunk, size = nil, 0
		}
		chunk = append(chunk, i)
		size += n
	}
	if chunk != nil {
		p.plain = append(p.plain, chunk)
	}
	slices.SortStableFunc(p.keyed, func(a, b int) int {
		return cmp.Or(cmp.Compare(p.jobs[a].Queue, p.jobs[b].Queue), cmp.Compare(p.jobs[a].UniqueKey, p.jobs[b].UniqueKey))
	})
	return nil
}

// commitEach makes one statement without a transaction around it.
func (p *push) commitEach(ctx context.Context) error {
	return retry.Do(ctx, transient, func() error {
		conn, err := p.store.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		p.on, p.alone = conn, true
		return p.run(ctx)
	})
}

func (p *push) run(ctx context.Context) error {
	clear(p.pushed)
	for _, chunk := range p.plain {
		if err := p.insertMany(ctx, chunk); err != nil {
			return err
		}
	}
	for _, i := range p.keyed {
		if err := p.insertKeyed(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// insertMany inserts jobs without keys. Their ids follow from the first one: an INSERT of VALUES takes its numbers at once, whatever
// innodb_autoinc_lock_mode says, in steps of the session's auto_increment_increment.
func (p *push) insertMany(ctx context.Context, which []int) error {
	step := int64(1)
	if len(which) > 1 {
		if err := p.one(ctx, "SELECT @@auto_increment_increment", nil, &step); err != nil {
			return err
		}
	}
	first, err := p.insert(ctx, which)
	if err != nil {
		return err
	}
	for n, i := range which {
		p.pushed[i].ID = first + int64(n)*step
	}
	return nil
}

// insertKeyed inserts a job with a key, unless another job has it. If that job ends in between, the key is free, and the job is tried
// again.
func (p *push) insertKeyed(ctx context.Context, i int) error {
	const tries = 3
	for try := 1; ; try++ {
		// An INSERT that meets the key keeps it locked until the transaction ends, and the holder's end would have to wait. In a
		// caller's transaction it cannot be helped: what is seen there without a lock may have ended long ago.
		if p.store.bound == nil {
			if holder, err := p.holder(ctx, i); err != nil || holder != 0 {
				p.pushed[i] = sqlqueue.Pushed{ID: holder, Duplicate: true}
				return err
			}
		}
		id, err := p.insert(ctx, []int{i})
		if err == nil {
			p.pushed[i].ID = id
			return nil
		}
		if server(err).Number != errDuplicate {
			return err
		}
		if p.pushed[i].ID, err = p.holder(ctx, i); err != nil || p.pushed[i].ID != 0 || try == tries {
			p.pushed[i].Duplicate = true
			return err
		}
	}
}

const holderSQL = `SELECT id FROM {jobs} WHERE queue = ? AND unique_key = ?`

// holder returns the id of the job that has the key of job i, or 0.
func (p *push) holder(ctx context.Context, i int) (id int64, err error) {
	err = p.one(ctx, p.store.sql(holderSQL), []any{p.jobs[i].Queue, p.jobs[i].UniqueKey}, &id)
	return id, err
}

// %[1]s rows.
const pushSQL = `INSERT INTO {jobs} (queue, priority, payload, available_at, unique_key, created_at) VALUES %[1]s`

// insert runs one INSERT and returns the id of its first row.
func (p *push) insert(ctx context.Context, which []int) (int64, error) {
	size := 0
	var rows strings.Builder
	args := make([]any, 0, 3*len(which))
	for n, i := range which {
		job := &p.jobs[i]
		if n > 0 {
			rows.WriteString(", ")
		}
		at, key := after(job.Delay), "NULL"
		if !job.At.IsZero() {
			at = momentOf(job.At)
		}
		size += len(job.Payload)
		args = append(args, job.Queue, string(job.Payload))
		if job.UniqueKey != "" {
			key = "?"
			args = append(args, job.UniqueKey)
		}
		fmt.Fprintf(&rows, "(?, %d, ?, %s, %s, UTC_TIMESTAMP(6))", job.Priority, at, key)
	}
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	query := p.store.sql(pushSQL, rows.String())
	exec := func() (sql.Result, error) { return p.on.ExecContext(ctx, query, args...) }
	if size > p.packet/2 {
		// With interpolateParams the driver would write the payload into the statement, up to twice as long, which the server refuses by
		// breaking the connection. An argument of a prepared statement goes as it is.
		statement, err := p.on.PrepareContext(ctx, query)
		if err != nil {
			return 0, err
		}
		defer func() { _ = statement.Close() }()
		exec = func() (sql.Result, error) { return statement.ExecContext(ctx, args...) }
	}
	result, err := exec()
	if err != nil {
		if p.alone {
			err = outcome(err)
		}
		return 0, err
	}
	return result.LastInsertId()
}

// one reads a row of one column, if there is one.
func (p *push) one(ctx context.Context, query string, args []any, dest *int64) error {
	return operator.Each(ctx, operator.SQL(p.on, translate), query, args, func(scan func(...any) error) error { return scan(dest) })
}
