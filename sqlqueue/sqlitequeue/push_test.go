package sqlitequeue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestPayloadIsKeptByteByByte(t *testing.T) {
	s := newStore(openFile(t), "")
	payloads := []string{
		`{"job":"x","data":null}`,
		" {\n\t\"job\" : \"x\" ,\r\"data\":[1.0, 1e2,-0,12345678901234567890123]} ",
		`{"job":"\u0078","data":"\u0000 \ud800 \/ \" \\ é 😀 <&>` + "\u2028 \x7f" + `"}`,
		`{"job":"x","job":"y","data":{"b":1,"a":2}}`,
		`{"data":"` + strings.Repeat("x", 300<<10) + `"}`,
	}
	var jobs []driver.NewJob
	for _, payload := range payloads {
		jobs = append(jobs, driver.NewJob{Queue: "many", Payload: []byte(payload)})
	}
	for _, payload := range payloads { // queues that differ: pushed one by one
		jobs = append(jobs, driver.NewJob{Queue: fmt.Sprint("one", len(jobs)), Payload: []byte(payload)})
	}
	must(s.Push(t.Context(), jobs))(t)
	stored := must(operator.New(must(sqlqueue.New(s, sqlqueue.Config{}))(t)).Jobs(t.Context(), operator.JobFilter{}))(t)
	if len(stored) != len(jobs) {
		t.Fatalf("%d jobs are stored, want %d", len(stored), len(jobs))
	}
	for i, job := range stored {
		if want := jobs[i].Payload; string(job.Payload) != string(want) {
			t.Errorf("got %.200q, want %.200q", job.Payload, want)
		}
	}
}

func TestDeepPayloadIsRefused(t *testing.T) {
	q := newQueue(t, openFile(t))
	deep := sqlqueue.Named("deep", rawJSON(strings.Repeat("[", 2000)+strings.Repeat("]", 2000)))
	for _, jobs := range [][]sqlqueue.Pushable{{deep}, {job, deep}} {
		_, err := q.PushMany(t.Context(), jobs)
		if err == nil || !strings.Contains(err.Error(), "not JSON that SQLite takes") {
			t.Errorf("got %v", err)
		}
	}
	if stored := must(operator.New(q).Jobs(t.Context(), operator.JobFilter{}))(t); len(stored) != 0 {
		t.Errorf("%d jobs are stored", len(stored))
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// The nth id is that of the nth job, whatever else a trigger inserts.
func TestIDsInOrder(t *testing.T) {
	db := openFile(t)
	execute(t, db, `CREATE TRIGGER copy AFTER INSERT ON jobs WHEN new.queue = 'default' AND new.id % 3 = 0
		BEGIN INSERT INTO jobs (queue, payload) VALUES ('copies', new.payload); END`)
	q := newQueue(t, db)
	const n = 10_000
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("job", i)
	}
	ids := must(q.PushMany(t.Context(), jobs))(t)
	if len(ids) != n || !slices.IsSorted(ids) {
		t.Fatalf("%d ids, ascending: %v", len(ids), slices.IsSorted(ids))
	}
	stored := must(operator.New(q).Queues(t.Context(), 0))(t)
	if len(stored) != 2 || stored[1].Queue != "default" || stored[1].Ready != n {
		t.Fatalf("stored: %+v", stored)
	}
	for i, id := range ids {
		if i%1000 != 0 && i != n-1 {
			continue
		}
		job := must(operator.New(q).Job(t.Context(), id))(t)
		if want := fmt.Sprintf(`{"job":"job","data":%d}`, i); string(job.Payload) != want {
			t.Errorf("job %d is %s, want %s", id, job.Payload, want)
		}
	}
}

// Jobs of one call run in their order, whichever statements insert them.
func TestMixedJobsKeepTheirOrder(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	big := []byte(`{"data":"` + strings.Repeat("x", mostPayload/2) + `"}`)
	small := []byte(`{}`)
	jobs := []driver.NewJob{
		{Queue: "a", Payload: small, At: at},
		{Queue: "a", Payload: small, At: at.In(time.FixedZone("", 3600))},
		{Queue: "a", Payload: small, At: at, UniqueKey: "k"},
		{Queue: "a", Payload: small, At: at.Add(1)},
		{Queue: "b", Payload: small, At: at},
		{Queue: "a", Payload: small, At: at, Priority: 1},
		{Queue: "a", Payload: small, Delay: time.Hour},
		{Queue: "a", Payload: small},
		{Queue: "a", Payload: big},
		{Queue: "a", Payload: big},
		{Queue: "a", Payload: big},
	}
	var statements []int
	for left := jobs; len(left) > 0; left = left[alike(left):] {
		statements = append(statements, alike(left))
	}
	if want := []int{2, 1, 1, 1, 1, 1, 2, 1, 1}; !slices.Equal(statements, want) {
		t.Errorf("statements insert %v jobs, want %v", statements, want)
	}

	jobs = jobs[:len(jobs)-3]
	s := newStore(openFile(t), "")
	pushed := must(s.Push(t.Context(), jobs))(t)
	for i, p := range pushed {
		if want := (driver.Pushed{ID: int64(i + 1)}); p != want {
			t.Errorf("job %d: %+v, want %+v", i, p, want)
		}
	}
}

// A time in another form would be met, again and again, by every worker of the queue.
func TestPlainInsertOfAnotherTimeIsRefused(t *testing.T) {
	db := openFile(t)
	for _, at := range []string{"datetime('now', '+1 hour')", "julianday('now')", "x'00'"} {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO jobs (payload, available_at) VALUES ('{}', "+at+")"); err == nil {
			t.Errorf("%s was taken", at)
		}
	}
	execute(t, db, "INSERT INTO jobs (payload, available_at) VALUES ('{}', unixepoch('now') * 1e6)")
	if answer := must(newQueue(t, db).Exchange(t.Context(), reserveOne))(t); len(answer.Reserved) != 1 {
		t.Errorf("got %+v, want one job", answer)
	}
}
