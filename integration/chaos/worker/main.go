// Command worker is the application that chaos starts and breaks: sqlqueue's commands with handlers that write their history.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/sqlqueue/sqlqueue/cli"
	"github.com/sqlqueue/sqlqueue/integration/chaos"
	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/worker"
)

// version is another one in the binary of a rolling deploy.
var version = "old"

func main() {
	cli.Begin()
	dir := os.Getenv("CHAOS_HISTORY")
	if dir == "" { // an operator's command
		os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "worker"}))
	}
	go leash()
	go vitals(filepath.Join(dir, fmt.Sprintf("vitals-%s-%d", os.Getenv("CHAOS_MEMBER"), os.Getpid())))
	database, err := opened.Open(os.Getenv("SQLQUEUE_DSN"))
	if err != nil {
		log.Fatal(err)
	}
	journal, err := chaos.Create(dir, "worker")
	if err != nil {
		log.Fatal(err)
	}
	a := &application{database, journal}
	mux := worker.NewMux()
	for kind, handle := range map[string]func(context.Context, *job) error{
		chaos.Plain:    plain,
		chaos.Slow:     func(ctx context.Context, j *job) error { return wait(ctx, j.data.Takes) },
		chaos.Flaky:    flaky,
		chaos.Doomed:   func(context.Context, *job) error { return errors.New("never ends well") },
		chaos.Transfer: a.transfer,
		chaos.Poison:   poison,
		chaos.New:      func(context.Context, *job) error { return nil },
	} {
		if kind == chaos.New && version == "old" {
			continue
		}
		mux.HandleFunc(kind, func(ctx context.Context, of *worker.Job[json.RawMessage]) error {
			j := &job{JobInfo: of.JobInfo}
			if err := json.Unmarshal(of.Data, &j.data); err != nil {
				return worker.Fail(err)
			}
			if err := a.write(chaos.Begun, of.JobInfo); err != nil {
				return worker.Fail(err)
			}
			if !strings.HasPrefix(j.data.Token, chaos.Limited) {
				return handle(ctx, j)
			}
			return errors.Join(handle(ctx, j), a.write(chaos.Returned, of.JobInfo))
		})
	}
	tell := func(what string) func(worker.JobInfo, worker.Result) {
		return func(job worker.JobInfo, _ worker.Result) {
			// A transfer that has deleted its job counts as done for the worker also when the answer to its COMMIT was lost. Whether it is,
			// its handler tells.
			if what != chaos.Done || job.Name != chaos.Transfer {
				a.tell(what, job)
			}
		}
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "worker", Mux: mux, Worker: worker.Config{Events: worker.Events{
		Processed: tell(chaos.Done), Released: tell(chaos.Released), Failed: tell(chaos.Failed),
		Lost: func(job worker.JobInfo) { a.tell(chaos.Lost, job) },
	}}}))
}

// leash ends the process when standard input ends, which is when the test that holds its other end is gone.
func leash() {
	const killed = 137
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(killed)
}

// vitals writes, all five seconds, how many goroutines there are and how many bytes the heap has.
func vitals(name string) {
	file, err := os.Create(name)
	if err != nil {
		log.Fatal(err)
	}
	for range time.Tick(5 * time.Second) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if _, err := fmt.Fprintln(file, runtime.NumGoroutine(), m.HeapAlloc); err != nil {
			log.Fatal(err)
		}
	}
}

type application struct {
	*opened.Database
	journal *chaos.Journal
}

func (a *application) write(what string, job worker.JobInfo) error {
	var payload struct{ Data data }
	_ = json.Unmarshal(job.Payload, &payload) // a bad row's may be anything
	if payload.Data.Token == "" {             // a bad row, which is nobody's push
		return nil
	}
	return a.journal.Write(chaos.Event{What: what, Kind: job.Name, Token: payload.Data.Token, Job: job.ID, Attempt: job.Attempts})
}

func (a *application) tell(what string, job worker.JobInfo) {
	if err := a.write(what, job); err != nil {
		log.Fatal(err) // without its history nothing can be checked
	}
}

// job is a job with its data.
type job struct {
	worker.JobInfo
	data data
}

type data struct {
	Token string `json:"token"`
	Takes int    `json:"takes"` // milliseconds
	Bad   int    `json:"bad"`   // runs that do not end well, at the beginning
	Text  string `json:"text"`
	Sum   string `json:"sum"` // of Text; empty: not to be checked
}

func wait(ctx context.Context, milliseconds int) error {
	timer := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func plain(ctx context.Context, j *job) error {
	if sum := sha256.Sum256([]byte(j.data.Text)); j.data.Sum != "" && hex.EncodeToString(sum[:]) != j.data.Sum {
		return worker.Fail(errors.New("the text is not what was pushed"))
	}
	return wait(ctx, j.data.Takes)
}

func flaky(_ context.Context, j *job) error {
	if j.Attempts <= j.data.Bad {
		return fmt.Errorf("attempt %d does not end well", j.Attempts)
	}
	return nil
}

// poison ends the process, without a word.
func poison(_ context.Context, j *job) error {
	if j.Attempts <= j.data.Bad {
		os.Exit(3)
	}
	return nil
}

// transfer has its effect once, whatever happens.
func (a *application) transfer(ctx context.Context, j *job) error {
	tx, err := a.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	q := a.Bind(a.Queue, tx)
	if err := q.Hold(ctx, j); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO effects (token) VALUES ('%s')", j.data.Token)); err != nil {
		return err
	}
	if err := wait(ctx, j.data.Takes); err != nil {
		return err
	}
	if err := q.Delete(ctx, j); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return a.write(chaos.Done, j.JobInfo)
}
