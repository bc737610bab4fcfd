package sqlqueuetest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Pushed is a job as it was pushed, whatever has become of it.
type Pushed struct {
	ID          int64
	Queue       string
	Priority    int16
	AvailableAt time.Time
	Delay       time.Duration // from the push to AvailableAt; negative with an At that had passed
	UniqueKey   string        // empty: none

	sqlqueue.Payload // name, data and settings; incomplete if another program has inserted something else
}

// Pushed returns what was pushed, by id: also what another program has inserted, and each retry of a failed job, which makes a new job.
// Jobs that were run in sync mode, and those that were left out for their unique key, are not there.
func (q *Queue) Pushed() []Pushed {
	q.t.Helper()
	pushed, err := q.pushed()
	if err != nil {
		q.t.Fatalf("sqlqueuetest: Pushed: %v", err)
	}
	return pushed
}

func (q *Queue) pushed() ([]Pushed, error) {
	rows, err := q.db.QueryContext(q.ctx(),
		`SELECT id, queue, priority, payload, available_at, created_at, unique_key FROM sqlqueuetest_pushed ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []Pushed
	for rows.Next() {
		var p Pushed
		var payload []byte
		var availableAt, createdAt int64
		var key sql.NullString
		if err := rows.Scan(&p.ID, &p.Queue, &p.Priority, &payload, &availableAt, &createdAt, &key); err != nil {
			return nil, err
		}
		p.Payload = q.parse(payload)
		p.AvailableAt, p.UniqueKey = time.UnixMicro(availableAt), key.String
		p.Delay = time.Duration(availableAt-createdAt) * time.Microsecond
		all = append(all, p)
	}
	return all, rows.Err()
}

// parse reads a payload, with what is encrypted in plain.
func (q *Queue) parse(payload []byte) sqlqueue.Payload {
	if plain, err := q.DecryptPayload(payload, true); err == nil {
		payload = plain
	}
	parsed, _ := sqlqueue.ParsePayload(payload)
	return parsed
}

// PushedAs returns the data of the jobs that were pushed under T's name, by id: sqlqueuetest.PushedAs[SendInvoice](q).
func PushedAs[T any, P interface {
	*T
	sqlqueue.Pushable
}](q *Queue) []T {
	q.t.Helper()
	name := P(new(T)).JobName()
	var all []T
	for _, p := range q.Pushed() {
		if p.Job != name {
			continue
		}
		var data T
		if err := q.Config().Codec.Unmarshal(p.Data, &data); err != nil {
			q.t.Fatalf("sqlqueuetest: PushedAs: data of job %d, %s: %v", p.ID, p, err)
		}
		all = append(all, data)
	}
	return all
}

// String is one line: the name, the data, and what else is set.
func (p Pushed) String() string { return p.describe(fmt.Sprintf("queue %q", p.Queue)) }

func (p Pushed) describe(on string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s on %s", p.Job, p.Data, on)
	if p.Delay != 0 {
		fmt.Fprintf(&b, ", delay %v", p.Delay)
	}
	if p.Priority != 0 {
		fmt.Fprintf(&b, ", priority %d", p.Priority)
	}
	if p.UniqueKey != "" {
		fmt.Fprintf(&b, ", unique key %q", p.UniqueKey)
	}
	settings := p.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, ", %s %s", name, settings[name])
	}
	return b.String()
}

// settings are what the payload has besides the name and the data, as JSON.
func (p Pushed) settings() map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if payload, err := json.Marshal(p.Payload); err == nil {
		_ = json.Unmarshal(payload, &fields) // it is an object
	}
	delete(fields, "job")
	delete(fields, "data")
	return fields
}
