package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// pushJob is a job that a producer pushes.
type pushJob struct {
	kind  string
	Token string `json:"token"`
	Takes int    `json:"takes,omitzero"`
	Bad   int    `json:"bad,omitzero"`
	Text  string `json:"text,omitzero"`
	Sum   string `json:"sum,omitzero"` // of Text
}

func (j pushJob) JobName() string { return j.kind }

// options of the push of a job.
func (j pushJob) options(r *rand.Rand) []sqlqueue.PushOption {
	options := []sqlqueue.PushOption{sqlqueue.BackoffList(100 * time.Millisecond)}
	switch j.kind {
	case Doomed:
		options = append(options, sqlqueue.Tries(DoomedTries))
	case Transfer:
		options = append(options, sqlqueue.Tries(0)) // its handler fails as often as a fault lasts
	}
	if j.kind != Doomed && r.IntN(10) == 0 {
		options = append(options, sqlqueue.Delay(time.Duration(r.IntN(2000))*time.Millisecond))
	}
	if r.IntN(10) == 0 {
		options = append(options, sqlqueue.Priority(r.IntN(5)-2))
	}
	return options
}

// mix is how often each kind is pushed.
type mix map[string]int

var usual = mix{Plain: 60, Transfer: 20, Flaky: 10, Doomed: 5, Slow: 1}

func (m mix) job(r *rand.Rand, token string) pushJob {
	total := 0
	for _, share := range m {
		total += share
	}
	n := r.IntN(total)
	for _, kind := range []string{Plain, Slow, Flaky, Doomed, Transfer, Poison, New} {
		if n -= m[kind]; n >= 0 {
			continue
		}
		j := pushJob{kind: kind, Token: token}
		switch kind {
		case Plain, Transfer:
			j.Takes = r.IntN(30)
		case Slow:
			j.Takes = int((expire + expire/2).Milliseconds())
		case Flaky, Poison:
			j.Bad = 1 + r.IntN(2)
		}
		return j
	}
	panic("a mix without kinds")
}

// produce starts producers that push until world.pushing is called: each by itself, in batches, in transactions that commit, and in ones
// that roll back. About a hundred jobs a second come from each.
func (w *world) produce(producers int, m mix) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	var group sync.WaitGroup
	for n := range producers {
		database, r := w.open(w.address(n)), rand.New(rand.NewPCG(w.random.Uint64(), uint64(n)))
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				w.pushSome(context.WithoutCancel(ctx), database, r, m, fmt.Sprintf("%s-p%d-%d", w.engine, n, i))
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(r.IntN(30)) * time.Millisecond):
				}
			}
		})
	}
	w.pushing = func() { cancel(); group.Wait() }
	w.Cleanup(w.pushing)
}

// pushSome pushes one to five jobs in one of the ways, and writes what became of them.
func (w *world) pushSome(ctx context.Context, database *opened.Database, r *rand.Rand, m mix, name string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	jobs := make([]pushJob, 1+r.IntN(5))
	for i := range jobs {
		jobs[i] = m.job(r, fmt.Sprintf("%s-%d", name, i))
	}
	var what string
	var err error
	if w.groups && r.IntN(3) == 0 {
		w.pushGroup(ctx, database, r, jobs)
		return
	}
	switch r.IntN(3) {
	case 0:
		jobs = jobs[:1]
		_, err = database.Queue.Push(ctx, jobs[0], jobs[0].options(r)...)
		what = outcome(err)
	case 1:
		many := make([]sqlqueue.Pushable, len(jobs))
		for i := range jobs {
			jobs[i].kind, jobs[i].Bad = Plain, 0 // one set of options is for all
			many[i] = jobs[i]
		}
		_, err = database.Queue.PushMany(ctx, many)
		what = outcome(err)
	default:
		what = w.pushInTx(ctx, database, r, jobs)
	}
	for _, j := range jobs {
		w.pushed(what, j.kind, j.Token, err)
	}
}

// pushed writes what became of a push.
func (w *world) pushed(what, kind, token string, err error) {
	if err != nil {
		w.refusals.Store(token, err)
	}
	if err := w.produced.Write(Event{What: what, Kind: kind, Token: token}); err != nil {
		w.Error(err)
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return Committed
	case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
		return Unknown
	}
	return Refused
}

func (w *world) pushInTx(ctx context.Context, database *opened.Database, r *rand.Rand, jobs []pushJob) string {
	tx, err := database.BeginTx(ctx, nil)
	if err != nil {
		return Refused
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	q := database.Bind(database.Queue, tx)
	for _, j := range jobs {
		if _, err := q.Push(ctx, j, j.options(r)...); err != nil {
			return RolledBack
		}
	}
	if r.IntN(3) == 0 {
		return RolledBack
	}
	if err := tx.Commit(); err != nil {
		return Unknown
	}
	return Committed
}
