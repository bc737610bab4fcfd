package storetest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/encrypt"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var encryptionCases = []testCase{
	{
		"what is encrypted comes back from every table, and gets another key where no worker has it",
		"an old key is taken away, and jobs are left that nobody can read",
		func(f *fixture) {
			c := f.open()
			ctx := f.Context()
			one, both, two := f.encrypted(c, "k1"), f.encrypted(c, "k2", "k1"), f.encrypted(c, "k2")
			job := func(n int) sqlqueue.Pushable { return sqlqueue.Named("job", fmt.Sprint("naïve ", n)) }

			c.pushMany(1, sqlqueue.OnQueue("plain"))
			_, err := one.PushMany(ctx, []sqlqueue.Pushable{job(1), job(2)}, sqlqueue.OnQueue("waits"))
			f.must(err)
			_, err = one.Push(ctx, job(3), sqlqueue.OnQueue("chain"), sqlqueue.Then(job(4), sqlqueue.Chain(job(5), job(6))),
				sqlqueue.Catch(job(7)))
			f.must(err)
			_, err = one.Push(ctx, job(8), sqlqueue.OnQueue("fails"))
			f.must(err)
			c.settle(fail(c.reserve(1, "fails")[0], "no", ""))
			_, err = one.Push(ctx, job(9), sqlqueue.OnQueue("runs"))
			f.must(err)
			running := c.reserve(1, "runs")[0]
			batch := one.Batch("batch")
			_, err = batch.Push(ctx, job(10))
			f.must(err)
			f.history.inserted(1)
			_, err = batch.Seal(ctx, sqlqueue.OnSuccess(job(11)), sqlqueue.OnFailure(sqlqueue.Chain(job(12), job(13))))
			f.must(err)
			f.must(one.Schedule(ctx, sqlqueue.Schedule{Name: "daily", Cron: "@daily", Job: job(14)}))

			for _, j := range f.allJobs(c) {
				plain, err := one.DecryptPayload(j.Payload, true)
				f.must(err)
				if j.Queue != "plain" && (bytes.Contains(j.Payload, []byte("naïve")) || !bytes.Contains(plain, []byte("naïve"))) {
					f.Errorf("the payload of job %d is %s, and in plain %s", j.ID, j.Payload, plain)
				}
			}
			rotate := func(q *sqlqueue.Queue, want operator.Reencrypted) {
				f.Helper()
				got, err := operator.New(q).As("ann", "test").Reencrypt(ctx)
				f.must(err)
				if got != want {
					f.Errorf("got %+v, want %+v", got, want)
				}
			}
			// Four jobs of queues that nobody has, one of the batch, one failed, two callbacks, one schedule.
			rotate(both, operator.Reencrypted{Changed: 9, Left: 1})
			c.settle(putBack(running, time.Hour))
			rotate(both, operator.Reencrypted{Changed: 1})
			rotate(two, operator.Reencrypted{})
			rotate(one, operator.Reencrypted{Unreadable: 10})
		},
	},
}

// encrypted is the client's Queue with keys of these names.
func (f *fixture) encrypted(c *client, ids ...string) *sqlqueue.Queue {
	f.Helper()
	var keys []encrypt.Key
	for _, id := range ids {
		keys = append(keys, encrypt.Key{ID: id, Secret: bytes.Repeat([]byte(id), 16)})
	}
	cipher, err := encrypt.New(keys...)
	f.must(err)
	store, err := c.Store(f.Context())
	f.must(err)
	q, err := sqlqueue.New(store, sqlqueue.Config{Cipher: cipher})
	f.must(err)
	return q
}
