// Command app is an application that the process tests start, stop and kill: the command tree with handlers of its own.
//
// The data of each job names a directory. There a handler writes a line to the file "journal" when it begins, and waits for files
// that the tests make.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/cli"
	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func main() {
	cli.Begin()
	if os.Getenv("APP_LEASH") != "" {
		go leash()
	}
	database, err := opened.Open(os.Getenv("SQLQUEUE_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	a := &application{database}
	mux := worker.NewMux()
	for name, handle := range map[string]func(context.Context, *job) error{
		"quick":    func(context.Context, *job) error { return nil },
		"wait":     wait,
		"timed":    timed,
		"deaf":     func(ctx context.Context, j *job) error { return wait(context.WithoutCancel(ctx), j) },
		"loop":     loop,
		"allocate": allocate,
		"effect":   a.effect,
		"complete": a.complete,
		"long":     a.long,
	} {
		mux.HandleFunc(name, func(ctx context.Context, of *worker.Job[json.RawMessage]) error {
			j := &job{JobInfo: of.JobInfo}
			if err := json.Unmarshal(of.Data, &j.data); err != nil {
				return worker.Fail(err)
			}
			if err := j.begin(); err != nil {
				return worker.Fail(err)
			}
			return handle(ctx, j)
		})
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "app", Mux: mux}))
}

// leash ends the process when standard input ends, which is when the test that holds its other end is gone.
func leash() {
	const killed = 137
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(killed)
}

// job is a job with its data.
type job struct {
	worker.JobInfo
	data struct {
		Dir   string `json:"dir"`
		Takes int    `json:"takes"` // milliseconds, for wait: how long without a file
	}
}

// begin notes that a handler begins.
func (j *job) begin() error { return j.note("journal") }

// note writes the job's id, its attempt, this process and the time in nanoseconds to a file. A line that was written stays, whatever
// becomes of the process.
func (j *job) note(file string) error {
	journal, err := os.OpenFile(filepath.Join(j.data.Dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(journal, j.ID, j.Attempts, os.Getpid(), time.Now().UnixNano())
	return errors.Join(err, journal.Close())
}

// gate waits until there is a file for this run, and returns what is in it.
func (j *job) gate(ctx context.Context) (string, error) {
	const look = 5 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	var over <-chan time.Time
	if j.data.Takes > 0 {
		over = time.After(time.Duration(j.data.Takes) * time.Millisecond)
	}
	for {
		for _, name := range []string{fmt.Sprintf("%d.%d", j.ID, j.Attempts), "all"} {
			if text, err := os.ReadFile(filepath.Join(j.data.Dir, name)); err == nil && bytes.HasSuffix(text, []byte("\n")) {
				return strings.TrimSpace(string(text)), nil
			}
		}
		select {
		case <-tick.C:
		case <-over:
			return "done", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// wait ends as the gate's file says.
func wait(ctx context.Context, j *job) error {
	how, err := j.gate(ctx)
	switch {
	case err != nil:
		return err
	case how == "done":
		return nil
	case how == "release":
		return worker.Release(time.Hour)
	default:
		return worker.Fail(errors.New(how))
	}
}

// timed is wait, and notes its end.
func timed(ctx context.Context, j *job) error {
	if err := wait(ctx, j); err != nil {
		return err
	}
	return j.note("ended")
}

// loop never ends, and never gives up its processor by itself.
func loop(context.Context, *job) error {
	for { //nolint:revive,staticcheck // it is to spin
	}
}

// allocate has 300 MB while it waits.
func allocate(ctx context.Context, j *job) error {
	const megabytes = 300
	memory := bytes.Repeat([]byte{1}, megabytes<<20)
	defer runtime.KeepAlive(memory)
	return wait(ctx, j)
}

// application is where the application's own table, effects, is.
type application struct{ *opened.Database }

const insertEffect = "INSERT INTO effects (job, attempts) VALUES (%d, %d)"

// effect is a side effect that commits by itself: it happens at least once.
func (a *application) effect(ctx context.Context, j *job) error {
	_, err := a.ExecContext(ctx, fmt.Sprintf(insertEffect, j.ID, j.Attempts))
	return err
}

// complete is a side effect in the transaction that completes the job: it happens once.
func (a *application) complete(ctx context.Context, j *job) error {
	return a.transaction(ctx, nil, func(q *sqlqueue.Queue, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(insertEffect, j.ID, j.Attempts)); err != nil {
			return err
		}
		return q.Delete(ctx, j)
	}, j)
}

// long is complete in a transaction of REPEATABLE READ that waits for the gate. It rolls back if the gate says so, and returns nil
// all the same.
func (a *application) long(ctx context.Context, j *job) error {
	errRollback := errors.New("rollback")
	err := a.transaction(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}, func(q *sqlqueue.Queue, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(insertEffect, j.ID, j.Attempts)); err != nil {
			return err
		}
		how, err := j.gate(ctx)
		if err != nil {
			return err
		}
		if err := q.Delete(ctx, j); err != nil {
			return err
		}
		if how == "rollback" {
			return errRollback
		}
		return nil
	}, j)
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

// transaction runs f in a transaction that holds the job.
func (a *application) transaction(ctx context.Context, options *sql.TxOptions, f func(*sqlqueue.Queue, *sql.Tx) error, j *job) error {
	q, tx, err := a.hold(ctx, options, j)
	for err != nil && isSerialization(err) && ctx.Err() == nil {
		q, tx, err = a.hold(ctx, options, j)
	}
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	if err := f(q, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// hold begins a transaction that holds the job.
func (a *application) hold(ctx context.Context, options *sql.TxOptions, j *job) (*sqlqueue.Queue, *sql.Tx, error) {
	tx, err := a.BeginTx(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	q := a.Bind(a.Queue, tx)
	if err := q.Hold(ctx, j); err != nil {
		_ = tx.Rollback()
		return nil, nil, err
	}
	return q, tx, nil
}

// isSerialization reports whether the worker has touched the job between the transaction's snapshot and its lock.
func isSerialization(err error) bool {
	var postgres interface{ SQLState() string }
	var mariadb *mysql.MySQLError
	return errors.As(err, &postgres) && postgres.SQLState() == "40001" || errors.As(err, &mariadb) && mariadb.Number == 1020
}
