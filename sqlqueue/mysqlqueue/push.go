package mysqlqueue

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

const (
	mostRows      = 1000     // of one INSERT
	mostBytes     = 1 << 20  // of one INSERT of more than one row
	aroundPayload = 16 << 10 // bytes of what else is in a packet with a payload, in either direction, at most
	around        = 100      // bytes of a row besides its texts
	packetPart    = 4        // payloads in a statement may fill a fourth of a packet: hexadecimal doubles them
)

// Push implements driver.Store.
func (s *store) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	packet, err := s.session(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	p := &push{store: s, packet: int(packet), jobs: jobs, pushed: make([]driver.Pushed, len(jobs)), once: sqldb.Once(jobs)}
	if err := p.plan(); err != nil {
		return nil, err
	}
	switch {
	case s.bound != nil:
		p.on, p.alone = s.bound, false
		err = p.run(ctx)
	case len(p.plain)+len(p.keyed) == 1 && !p.once && !jobs[0].Replace:
		err = p.commitEach(ctx)
	default:
		err = s.own(ctx, func(on sqldb.Executor) error {
			p.on, p.alone = on, false
			return p.run(ctx)
		})
	}
	if err != nil {
		return nil, translate(err)
	}
	s.learn(jobs)
	return p.pushed, nil
}

// pushIn is sqldb.Database.Insert.
func (s *store) pushIn(ctx context.Context, db sqldb.DB, jobs []driver.NewJob) ([]driver.Pushed, error) {
	on, ok := sqldb.ExecutorOf(db)
	if !ok {
		return nil, errors.New("jobs can only be inserted in a transaction")
	}
	if through, ok := on.(locking); ok {
		on = through.Executor // which may prepare statements: see insertLarge
	}
	packet, err := s.session(ctx, db)
	if err != nil {
		return nil, err
	}
	p := &push{store: s, packet: int(packet), jobs: jobs, pushed: make([]driver.Pushed, len(jobs)), on: on}
	if err := p.plan(); err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
		return nil, translate(err)
	}
	s.learn(jobs)
	return p.pushed, nil
}

// learn remembers where jobs were pushed to.
func (s *store) learn(jobs []driver.NewJob) {
	for l := range lane.Of(jobs) {
		s.known.lanes.Learn(l.Queue, l.Priority)
		s.known.turns.Learn(l.Queue)
		s.known.places.Pushed(l)
	}
	for _, job := range jobs {
		if !job.At.IsZero() {
			s.known.lanes.Rewind(lane.Lane{Queue: job.Queue, Priority: job.Priority}, job.At)
		}
	}
}

// push is a Push under way.
type push struct {
	store  *store
	packet int // the server's max_allowed_packet
	jobs   []driver.NewJob
	pushed []driver.Pushed
	plain  [][]int // indexes of jobs without a key, a statement each
	keyed  []int   // the others, in the order of their keys: no two producers wait for each other in a circle
	on     sqldb.Executor
	alone  bool // each statement commits by itself
	once   bool // some keys are held for a time
}

// plan divides the jobs into statements.
func (p *push) plan() error {
	most, room := p.packet-aroundPayload, min(mostBytes, p.packet/packetPart)
	var chunk []int
	size := 0
	for i, job := range p.jobs {
		if n := len(job.Payload); n > most {
			return fmt.Errorf("the payload of job %d of %d has %d bytes: the server takes %d, which is its max_allowed_packet less %d",
				i+1, len(p.jobs), n, most, aroundPayload)
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

// commitEach inserts with one statement, without a transaction around it.
func (p *push) commitEach(ctx context.Context) error {
	return p.store.retried(ctx, func(conn *sql.Conn) error {
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
	return p.pushKeyed(ctx)
}

// insertMany inserts jobs without keys. Their ids follow from the first one, in steps of the session's auto_increment_increment: an INSERT
// of VALUES takes all its ids at once, whatever innodb_autoinc_lock_mode says.
func (p *push) insertMany(ctx context.Context, which []int) error {
	step := int64(1)
	if len(which) > 1 {
		if err := p.one(ctx, "SELECT @@auto_increment_increment", &step); err != nil {
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
		// An INSERT that meets the key keeps it locked until the transaction ends, and the holder could not end before. In a caller's
		// transaction that cannot be avoided: what it sees without a lock may have ended long ago.
		if p.store.bound == nil {
			if holder, err := p.holder(ctx, i); err != nil || holder != 0 {
				p.pushed[i] = driver.Pushed{ID: holder, Duplicate: true}
				return err
			}
		}
		id, err := p.insert(ctx, []int{i})
		if err == nil {
			p.pushed[i].ID = id
			return nil
		}
		if !p.store.KeyHeld(err) {
			return err
		}
		if p.pushed[i].ID, err = p.holder(ctx, i); err != nil || p.pushed[i].ID != 0 || try == tries {
			p.pushed[i].Duplicate = true
			return err
		}
	}
}

// %[1]s queue, %[2]s unique key.
const holderSQL = `SELECT id FROM {jobs} WHERE queue = %[1]s AND unique_key = %[2]s`

// holder returns the id of the job that has the key of job i, or 0.
func (p *push) holder(ctx context.Context, i int) (id int64, err error) {
	err = p.one(ctx, p.store.sql(holderSQL, text(p.jobs[i].Queue), text(p.jobs[i].UniqueKey)), &id)
	return id, err
}

const pushSQL = `INSERT INTO {jobs} (queue, priority, payload, available_at, unique_key, unique_until) VALUES `

// insert runs one INSERT and returns the id of its first row.
func (p *push) insert(ctx context.Context, which []int) (int64, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	if len(p.jobs[which[0]].Payload) > p.packet/packetPart {
		return p.insertLarge(ctx, which[0])
	}
	result, err := p.on.ExecContext(ctx, string(p.rows(which, func(b []byte, i int) []byte { return appendText(b, p.jobs[i].Payload) })))
	return p.first(result, err)
}

// insertLarge inserts one job whose payload might make the statement too long for the server, which would then close the connection. It
// sends the payload as an argument of a prepared statement, which is not made longer by escapes.
func (p *push) insertLarge(ctx context.Context, i int) (int64, error) {
	query := string(p.rows([]int{i}, func(b []byte, _ int) []byte { return append(b, '?') }))
	preparer, ok := p.on.(interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	})
	if !ok { // an ORM's transaction; its driver prepares a statement with arguments by itself, unless interpolateParams is set
		return p.first(p.on.ExecContext(ctx, query, string(p.jobs[i].Payload)))
	}
	statement, err := preparer.PrepareContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { _ = statement.Close() }()
	return p.first(statement.ExecContext(ctx, string(p.jobs[i].Payload)))
}

// rows returns the INSERT. Payload appends the payload of a job.
func (p *push) rows(which []int, payload func(b []byte, i int) []byte) []byte {
	size := 0
	for _, i := range which {
		size += len(p.jobs[i].Payload) + around
	}
	b := append(make([]byte, 0, size+around), p.store.sql(pushSQL)...)
	for n, i := range which {
		job := &p.jobs[i]
		if n > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, '('), job.Queue)
		b = strconv.AppendInt(append(b, ','), int64(job.Priority), 10)
		b = payload(append(b, ','), i)
		at := after(job.Delay)
		if !job.At.IsZero() {
			at = momentOf(job.At)
		}
		b = append(append(append(b, ','), at...), ',')
		switch {
		case job.UniqueKey == "":
			b = append(b, "NULL,0)"...)
		case job.UntilStarted:
			b = append(appendText(b, job.UniqueKey), ",1)"...)
		default:
			b = append(appendText(b, job.UniqueKey), ",0)"...)
		}
	}
	return b
}

// first returns the id of the first row that was inserted.
func (p *push) first(result sql.Result, err error) (int64, error) {
	if err == nil {
		id, err := result.LastInsertId()
		if err == nil && id <= 0 {
			err = &sqlqueue.RefusedError{
				Err:  errors.New("the table of jobs has used up its ids: a row with a very large id was inserted"),
				Cure: "delete that row and set the table's AUTO_INCREMENT back, to 1 more than the greatest id below",
			}
		}
		return id, err
	}
	if p.alone {
		err = outcome(err)
	}
	return 0, err
}

// one reads one column of one row, if there is a row.
func (p *push) one(ctx context.Context, query string, dest *int64) error {
	return each(ctx, p.store.known.through(p.on), query, func(scan func(...any) error) error { return scan(dest) })
}
