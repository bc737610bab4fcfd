package encrypt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/encrypt"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

const marker = "4111 1111"

// charge is a job with something secret.
type charge struct {
	Card string `json:"card"`
	N    int    `json:"n"`
}

func (charge) JobName() string { return "charge" }

func of(n int) charge { return charge{marker, n} }

// written is all that the tables of jobs have of a database's texts.
func written(t *testing.T, q *sqlqueuetest.Queue) string {
	t.Helper()
	rows, err := q.DB().QueryContext(t.Context(), `
		SELECT payload || coalesce(unique_key, '') FROM jobs UNION ALL
		SELECT payload || error FROM failed_jobs UNION ALL
		SELECT payload FROM job_schedules UNION ALL
		SELECT coalesce(on_success, '') || coalesce(on_finish, '') || coalesce(on_failure, '') FROM job_batches`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// with is the queue of a program with other keys, or none.
func with(t *testing.T, q *sqlqueuetest.Queue, cipher *encrypt.Keys) *sqlqueuetest.Queue {
	t.Helper()
	var config sqlqueue.Config
	if cipher != nil {
		config.Cipher = cipher
	}
	other, err := sqlitequeue.New(q.DB(), config)
	if err != nil {
		t.Fatal(err)
	}
	copied := *q
	copied.Queue = other
	return &copied
}

func TestNothingInTheTablesIsReadable(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	var ran []string
	results := 0
	mux := worker.NewMux()
	note := func(what, card string) {
		ran = append(ran, what)
		if text := written(t, q); strings.Contains(text, marker) || strings.Contains(text, "sum of") || card != marker {
			t.Errorf("%s has the card %q, and the tables have\n%s", what, card, text)
		}
	}
	worker.Handle(mux, func(_ context.Context, job *worker.Job[charge]) error {
		note(fmt.Sprint("charge ", job.Data.N), job.Data.Card)
		if !strings.Contains(string(job.Payload), marker) {
			t.Errorf("the handler's payload is %s", job.Payload)
		}
		if err := job.SetResult("sum of " + marker); err != nil {
			return err
		}
		if job.Data.N == 2 {
			return worker.Fail(errors.New("refused"))
		}
		return nil
	})
	mux.HandleFunc("after", func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		var data charge
		if err := json.Unmarshal(job.Data, &data); err != nil {
			return err
		}
		note("after", data.Card)
		var result string
		if parent := job.Parent(); parent != nil && parent.Result != nil {
			results++
			if err := job.ParentResult(&result); err != nil || result != "sum of "+marker {
				t.Errorf("the result of the job before is %q, %v", result, err)
			}
		}
		return nil
	})
	after := sqlqueue.Named("after", of(0))
	_, err := q.PushMany(t.Context(), []sqlqueue.Pushable{
		sqlqueue.With(of(1), sqlqueue.Then(after)),
		sqlqueue.With(of(2), sqlqueue.Catch(after)),
		sqlqueue.Chain(of(3), after, after),
	})
	if err != nil {
		t.Fatal(err)
	}
	batch := q.Batch("import")
	if _, err := batch.Push(t.Context(), of(4)); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Seal(t.Context(), sqlqueue.OnSuccess(sqlqueue.With(after, sqlqueue.OnQueue("default")))); err != nil {
		t.Fatal(err)
	}
	if err := q.Schedule(t.Context(), sqlqueue.Schedule{Name: "daily", Cron: "@daily", Job: of(5)}); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(of(1), sqlqueue.Then(after))
	if text := written(t, q); strings.Contains(text, marker) || strings.Count(text, `"enc":1`) != 10 {
		t.Errorf("the tables have\n%s", text)
	}
	q.RunUntilEmpty(mux)
	slices.Sort(ran)
	if got := strings.Join(ran, ", "); got != "after, after, after, after, after, charge 1, charge 2, charge 3, charge 4" || results != 2 {
		t.Errorf("ran: %s; with results: %d", got, results)
	}
}

// A program that lacks the key must not lose the job, nor spend its tries.
func TestAJobWithoutItsKeyWaits(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	if _, err := q.Push(t.Context(), of(1), sqlqueue.Tries(1)); err != nil {
		t.Fatal(err)
	}
	ran := 0
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[charge]) error { ran++; return nil })
	for _, cipher := range []*encrypt.Keys{nil, keys(t, "k2")} {
		got := with(t, q, cipher).RunOne(mux)
		if got.Outcome != sqlqueuetest.Released || !errors.Is(got.Err, sqlqueue.ErrNoKey) || ran > 0 {
			t.Errorf("without the key: %v, and %d handlers ran", got, ran)
		}
		q.Advance(got.Delay)
	}
	if got := with(t, q, keys(t, "k2", "k1")).RunOne(mux); got.Outcome != sqlqueuetest.Processed || ran != 1 || got.Job.Attempts != 1 {
		t.Errorf("with the key: %v, and %d handlers ran", got, ran)
	}
}

// Who can write the table must not make one job of another's data.
func TestDataOfAnotherJobFails(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	if _, err := q.Push(t.Context(), of(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.DB().ExecContext(t.Context(), `UPDATE jobs SET payload = replace(payload, '"charge"', '"refund"')`); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	mux.HandleFunc("refund", func(context.Context, *worker.Job[json.RawMessage]) error { return nil })
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Failed || !strings.Contains(fmt.Sprint(got.Err), "another name") {
		t.Errorf("got %v", got)
	}
}

func TestDataThatIsNotEncryptedIsRead(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	if _, err := with(t, q, nil).Push(t.Context(), of(7)); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[charge]) error {
		if job.Data != of(7) {
			t.Errorf("got %+v", job.Data)
		}
		return nil
	})
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Processed {
		t.Errorf("got %v", got)
	}
}

func TestUniqueByDataHasAKeyedHash(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	push := func(q *sqlqueuetest.Queue) sqlqueue.Pushed {
		t.Helper()
		got, err := q.TryPush(t.Context(), of(1), sqlqueue.UniqueByData("n"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, again, plain := push(q), push(with(t, q, keys(t, "k2", "k1"))), push(with(t, q, nil))
	if first.Duplicate || !again.Duplicate || plain.Duplicate {
		t.Errorf("pushed %+v, with a new first key %+v, and without keys %+v", first, again, plain)
	}
}

// Programs set their schedules whenever they start: the same one stays untouched, and another one does not.
func TestAScheduleIsComparedInPlain(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	set := func(q *sqlqueuetest.Queue, n int) string {
		t.Helper()
		if err := q.Schedule(t.Context(), sqlqueue.Schedule{Name: "s", Cron: "@daily", Job: of(n)}); err != nil {
			t.Fatal(err)
		}
		return written(t, q)
	}
	plain := set(with(t, q, nil), 1)
	first := set(q, 1)
	again := set(with(t, q, keys(t, "k2", "k1")), 1)
	other := set(q, 2)
	if plain == first || strings.Contains(first, marker) || first != again || again == other {
		t.Errorf("written in plain %s, encrypted %s, again %s, changed %s", plain, first, again, other)
	}
}

func TestEditEncrypts(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	id, err := q.Push(t.Context(), of(1))
	if err != nil {
		t.Fatal(err)
	}
	name := "refund"
	if err := operator.New(with(t, q, nil).Queue).Edit(t.Context(), id, operator.JobEdit{Name: &name}); !errors.Is(err, sqlqueue.ErrNoKey) {
		t.Errorf("a new name without keys: %v", err)
	}
	for _, edit := range []operator.JobEdit{{Name: &name}, {Data: of(2)}} {
		if err := operator.New(q.Queue).Edit(t.Context(), id, edit); err != nil {
			t.Fatal(err)
		}
		if text := written(t, q); strings.Contains(text, marker) {
			t.Errorf("the tables have %s", text)
		}
	}
	job, err := operator.New(q.Queue).Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.DecryptPayload(job.Payload, false); err != nil || string(got) != `{"job":"refund","data":{"card":"4111 1111","n":2}}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestReencryptNeedsKeys(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	if _, err := operator.New(q.Queue).Reencrypt(t.Context()); !errors.Is(err, sqlqueue.ErrNoKey) {
		t.Errorf("got %v", err)
	}
}

func TestListsSayEncrypted(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	long := charge{Card: strings.Repeat(marker, operator.StartOfPayload)}
	if _, err := q.PushMany(t.Context(), []sqlqueue.Pushable{of(1), long}); err != nil {
		t.Fatal(err)
	}
	jobs, err := operator.New(q.Queue).Jobs(t.Context(), operator.JobFilter{PayloadMax: operator.StartOfPayload})
	if err != nil || len(jobs) != 2 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	for _, job := range jobs {
		if name, data := operator.NameAndData(job.Payload); name != "charge" || data != "encrypted" {
			t.Errorf("got %q, %q", name, data)
		}
	}
}

// A handler that deletes its job in its own transaction pushes the next ones itself.
func TestDeleteEncryptsTheResult(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, job *worker.Job[charge]) error {
		if err := job.SetResult(marker); err != nil {
			return err
		}
		return q.Delete(ctx, job)
	})
	if _, err := q.Push(t.Context(), sqlqueue.With(of(1), sqlqueue.Then(sqlqueue.Named("after", nil)))); err != nil {
		t.Fatal(err)
	}
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Processed {
		t.Errorf("got %v", got)
	}
	if text := written(t, q); strings.Contains(text, marker) || strings.Count(text, `"enc":1`) != 2 {
		t.Errorf("the tables have %s", text)
	}
}

// Another program may have written a schedule by SQL.
func TestJobsOfAPlainScheduleAreEncrypted(t *testing.T) {
	t.Parallel()
	q := sqlqueuetest.New(t, sqlqueue.Config{Cipher: keys(t, "k1")})
	if err := with(t, q, nil).Schedule(t.Context(), sqlqueue.Schedule{Name: "s", Cron: "@daily", Job: of(1)}); err != nil {
		t.Fatal(err)
	}
	schedules, err := operator.New(q.Queue).Schedules(t.Context())
	if err != nil || len(schedules) != 1 {
		t.Fatalf("%d schedules, %v", len(schedules), err)
	}
	if _, err := q.PushScheduled(t.Context(), schedules[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := q.DB().ExecContext(t.Context(), `UPDATE job_schedules SET next_at = next_at - 86400000000`); err != nil {
		t.Fatal(err)
	}
	if n, _, err := q.RunSchedules(t.Context()); n != 1 || err != nil {
		t.Errorf("pushed %d jobs, %v", n, err)
	}
	text := written(t, q)
	if strings.Count(text, marker) != 1 || strings.Count(text, `"enc":1`) != 2 { // in plain only in the schedule itself
		t.Errorf("the tables have %s", text)
	}
}
