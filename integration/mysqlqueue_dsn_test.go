package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestMySQLDSN: the store works with whatever an application's DSN says.
func TestMySQLDSN(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		isolation := map[string]string{"mysql": "transaction_isolation", "mariadb": "tx_isolation"}
		for _, settings := range []map[string]string{
			{},
			{"parseTime": "true"},
			{"parseTime": "true", "loc": "Asia/Tokyo"},
			{"loc": "Local"},
			{"interpolateParams": "true"},
			{"clientFoundRows": "true"},
			{"clientFoundRows": "true", "interpolateParams": "true", "parseTime": "true", "time_zone": "'-05:00'"},
			{"sql_mode": "''"},
			{"sql_mode": "'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE'"},
			{"sql_mode": "'NO_BACKSLASH_ESCAPES'", "interpolateParams": "true"},
			{"sql_mode": "'PAD_CHAR_TO_FULL_LENGTH'"},
			{"sql_mode": "'TRADITIONAL,NO_AUTO_VALUE_ON_ZERO,NO_UNSIGNED_SUBTRACTION'"},
			{"time_zone": "'+08:00'"},
			{isolation[s.Engine]: "'SERIALIZABLE'"},
			{"charset": "utf8mb4"},
			{"collation": "utf8mb4_unicode_ci"},
			{"auto_increment_increment": "3", "auto_increment_offset": "2"},
			{"completion_type": "'CHAIN'"},
			{"innodb_lock_wait_timeout": "1"},
			{"sql_mode": "'ORACLE'", "mariadb": "only"},
			{"sql_mode": "'EMPTY_STRING_IS_NULL'", "mariadb": "only"},
			{
				"sql_mode":          "'ORACLE,EMPTY_STRING_IS_NULL,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,SIMULTANEOUS_ASSIGNMENT'",
				"interpolateParams": "true", "mariadb": "only",
			},
		} {
			if settings["mariadb"] != "" && s.Engine != "mariadb" {
				continue
			}
			delete(settings, "mariadb")
			address := dsn
			for key, value := range settings {
				address = with(t, address, key, value)
			}
			t.Run(fmt.Sprint(settings), func(t *testing.T) { dayInTheLife(t, s.Open(t, address)) })
		}
	})
}

// dayInTheLife pushes, reserves and settles, and looks at all that a setting could spoil.
func dayInTheLife(t *testing.T, db *sql.DB) {
	ctx := t.Context()
	q := mysqlQueue(t, db)
	if err := q.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.New(q).Clear(ctx, "", true); err != nil {
		t.Fatal(err)
	}
	const data = `naïve 'quotes' "doubled" \backslash\ 日本 🎺`
	jobs := make([]sqlqueue.Pushable, 30)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("x", fmt.Sprint(data, i))
	}
	start := time.Now()
	ids, err := q.PushMany(ctx, jobs)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2040, 2, 29, 12, 30, 15, 123456000, time.UTC)
	key := "a 'key' " + data
	delayed, err := q.Push(ctx, sqlqueue.Named("y", nil), sqlqueue.At(at), sqlqueue.Unique(key))
	if err != nil {
		t.Fatal(err)
	}
	var duplicate *sqlqueue.DuplicateError
	if id, err := q.Push(ctx, sqlqueue.Named("y", nil), sqlqueue.Unique(key)); !errors.As(err, &duplicate) || id != delayed {
		t.Errorf("the second push with the key gave %d, %v; the first has %d", id, err, delayed)
	}
	if j, err := operator.New(q).Job(ctx, delayed); err != nil || !j.AvailableAt.Equal(at) || j.UniqueKey != key {
		t.Errorf("%+v, %v; pushed for %v", j, err, at)
	}

	answer := mustExchange(t, q, driver.Exchange{
		Number: "w-1", Limit: 100, Reserve: fromQueue("default", time.Minute),
	})
	if len(answer.Reserved) != len(ids) {
		t.Fatalf("reserved %d of %d", len(answer.Reserved), len(ids))
	}
	if !answer.NextDue.Equal(at) {
		t.Errorf("next due at %v, want %v", answer.NextDue, at)
	}
	near := func(what string, got, want time.Time) {
		if d := got.Sub(want).Abs(); d > time.Minute {
			t.Errorf("%s is %v, %v off", what, got, d)
		}
	}
	near("now", answer.Now, start)
	x := driver.Exchange{Number: "w-2"}
	for i, j := range answer.Reserved {
		if want := fmt.Sprintf(`{"job":"x","data":%s}`, mustMarshal(t, fmt.Sprint(data, i))); j.ID != ids[i] || string(j.Payload) != want {
			t.Errorf("job %d is %d %s, want %d %s", i, j.ID, j.Payload, ids[i], want)
		}
		near("created_at", j.CreatedAt, start)
		near("available_at", j.AvailableAt, start)
		near("reserved_at", j.ReservedAt, start)
		near("expires_at", j.ExpiresAt, start.Add(time.Minute))
		switch i % 4 {
		case 0:
			x.Touch = append(x.Touch, driver.Touch{Reservation: j.Reservation(), Expire: time.Hour})
		default:
			x.Settle = append(x.Settle, driver.Settlement{
				Reservation: j.Reservation(), Outcome: driver.Outcome(i % 4), Delay: time.Hour, Error: data,
			})
		}
	}
	if answer := mustExchange(t, q, x); len(answer.Lost)+len(answer.Locked) > 0 {
		t.Errorf("%+v", answer)
	}
	if j, err := operator.New(q).Job(ctx, ids[0]); err != nil || !j.Reserved || j.ReservedBy != answer.Reserved[0].ReservedBy {
		t.Errorf("%+v, %v", j, err)
	} else {
		near("the touched expires_at", j.ExpiresAt, start.Add(time.Hour))
	}
	if _, err := operator.New(q).Job(ctx, ids[1]); !errors.Is(err, operator.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if j, err := operator.New(q).Job(ctx, ids[2]); err != nil || j.Reserved {
		t.Errorf("%+v, %v", j, err)
	} else {
		near("the released available_at", j.AvailableAt, start.Add(time.Hour))
	}
	failed, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Name: "x"})
	if err != nil || len(failed) == 0 || failed[0].Error != data {
		t.Fatalf("failed: %+v, %v", failed, err)
	}
	near("failed_at", failed[0].FailedAt, start)
	if n, err := operator.New(q).Retry(ctx, operator.FailedFilter{}); err != nil || n != len(failed) {
		t.Errorf("retried %d of %d: %v", n, len(failed), err)
	}

	for what, change := range map[string]operator.ControlChange{
		"restart": {Restart: true}, "pause": {Pause: true}, "resume": {Resume: true},
	} {
		if err := operator.New(q).Control(ctx, "", change); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := operator.New(q).Control(ctx, "", operator.ControlChange{Resume: true}); err != nil {
		t.Error(err)
	}
	for _, most := range []int64{0, 10} {
		if infos, err := operator.New(q).Queues(ctx, most); err != nil || len(infos) < 2 || infos[0].Queue != "" ||
			infos[0].Control.Restarts == 0 {
			t.Errorf("%+v, %v", infos, err)
		}
	}
	if counts, err := operator.New(q).Counts(ctx, time.Hour); err != nil || len(counts.Minutes) == 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if groups, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{}, 10); err != nil {
		t.Errorf("%+v, %v", groups, err)
	}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	bound := mysqlqueue.WithTx(q, tx)
	if err := bound.Delete(ctx, answer.Reserved[0]); err != nil {
		t.Error(err)
	}
	if more, err := bound.PushMany(ctx, jobs[:3]); err != nil || len(more) != 3 {
		t.Errorf("%v, %v", more, err)
	} else if j, err := operator.New(bound).Job(ctx, more[2]); err != nil || !strings.Contains(string(j.Payload), "🎺2") {
		t.Errorf("%+v, %v", j, err)
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	encoded, err := sqlqueue.JSON.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestMySQLSession: the application's sessions are left as they were.
func TestMySQLSession(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, with(t, with(t, dsn, "time_zone", "'+08:00'"), "sql_mode", "''"))
		db.SetMaxOpenConns(1)
		before := variables(t, db)
		dayInTheLife(t, db)
		after := variables(t, db)
		for name, value := range before {
			if after[name] != value {
				t.Errorf("%s was %q and is %q", name, value, after[name])
			}
		}
		if len(before) < 100 || before["time_zone"] != "+08:00" {
			t.Errorf("%d variables, time_zone %q: this is not what was to be compared", len(before), before["time_zone"])
		}
	})
}

// variables are those of the session that say how it works, not what it did.
func variables(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW SESSION VARIABLES")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		values[name] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(values, func(name, _ string) bool {
		return name == "timestamp" || strings.Contains(name, "insert_id") || name == "identity" || strings.Contains(name, "count") ||
			strings.Contains(name, "gtid") || strings.HasPrefix(name, "rand_seed") || strings.HasPrefix(name, "innodb_") ||
			strings.HasSuffix(name, "statement_id")
	})
	return values
}
