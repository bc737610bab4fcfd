package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// groups are the queues of a world with groups.
const groups = "default," + Limited + "/*," + Rated + "," + Batch + "/*"

// limit sets limits, and has producers push groups of jobs among others.
func (w *world) limit() {
	w.Helper()
	w.groups = true
	o := operator.New(w.open(w.direct).Queue)
	w.must(o.SetLimit(w.Context(), operator.Limit{Queue: Limited + "/*", Running: LimitRunning}))
	w.must(o.SetLimit(w.Context(), operator.Limit{Queue: Rated, Rate: LimitRate, Per: time.Second, Burst: LimitBurst}))
}

// pushGroup pushes jobs as a chain, a batch, or to a queue with a limit, and writes what became of them.
func (w *world) pushGroup(ctx context.Context, database *opened.Database, r *rand.Rand, jobs []pushJob) {
	switch kind := r.IntN(4); {
	case kind == 0 && !crowded(ctx, database.Queue, "", 1000):
		w.pushBatch(ctx, database.Queue, r, jobs)
	case kind == 1 && !crowded(ctx, database.Queue, Rated, 200):
		j := jobs[0]
		j.Token = Rated + "-" + j.Token
		_, err := database.Queue.Push(ctx, j, append(j.options(r), sqlqueue.OnQueue(Rated))...)
		w.pushed(outcome(err), j.kind, j.Token, err)
	case kind == 2:
		n := r.IntN(3)
		queue := fmt.Sprintf("%s/%d", Limited, n)
		if crowded(ctx, database.Queue, queue, 200) {
			break
		}
		for _, j := range jobs {
			j.Token = fmt.Sprintf("%s%d-%s", Limited, n, j.Token)
			_, err := database.Queue.Push(ctx, j, append(j.options(r), sqlqueue.OnQueue(queue))...)
			w.pushed(outcome(err), j.kind, j.Token, err)
		}
	case kind == 3:
		w.pushChain(ctx, database.Queue, r, jobs[0])
	}
}

// crowded reports whether a queue, or all together, has so many jobs that no more of them would end within the time that settle gives.
func crowded(ctx context.Context, q *sqlqueue.Queue, queue string, most int) bool {
	n, err := operator.New(q).CountJobs(ctx, operator.JobFilter{Queue: queue}, most)
	return err == nil && n >= most
}

// pushChain pushes a job, two that follow it one after the other, and one that follows its failure.
func (w *world) pushChain(ctx context.Context, q *sqlqueue.Queue, r *rand.Rand, first pushJob) {
	w.follows(first.Token, "then", "then>then", "catch")
	_, err := q.Push(ctx, first, append(first.options(r),
		sqlqueue.Then(sqlqueue.Chain(after(first.Token, "then"), after(first.Token, "then>then"))),
		sqlqueue.Catch(after(first.Token, "catch")))...)
	w.pushed(outcome(err), first.kind, first.Token, err)
}

// pushBatch pushes jobs as a batch, with all callbacks.
func (w *world) pushBatch(ctx context.Context, q *sqlqueue.Queue, r *rand.Rand, jobs []pushJob) {
	b := q.Batch(Batch)
	name := Batch + "-" + jobs[0].Token
	w.follows(name, "finish", "success", "failure")
	var err error
	for i, j := range jobs {
		j.Token = fmt.Sprintf("%s.%d", name, i)
		if err == nil {
			_, err = b.Push(ctx, sqlqueue.With(j, j.options(r)...))
			w.pushed(outcome(err), j.kind, j.Token, err)
		}
	}
	what := Refused // a batch whose jobs are not all known is never sealed
	if err == nil {
		_, err = b.Seal(ctx, sqlqueue.OnFinish(after(name, "finish")), sqlqueue.OnSuccess(after(name, "success")),
			sqlqueue.OnFailure(after(name, "failure")))
		what = outcome(err)
	}
	w.pushed(what, Batch, name, err)
}

func after(token, how string) pushJob { return pushJob{kind: Plain, Token: token + ">" + how} }

// follows writes which jobs the end of another may push.
func (w *world) follows(token string, all ...string) {
	for _, how := range all {
		w.pushed(Follows, Plain, token+">"+how, nil)
	}
}
