package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var pushCases = []testCase{
	{
		"A1 a push is one row, ready, without attempts",
		"everything else starts here",
		func(f *fixture) {
			c := f.open()
			before := c.now()
			id, err := c.Push(f.Context(), sqlqueue.Named("send_invoice", map[string]any{"order_id": 42}))
			f.must(err)
			after := c.now()
			j := c.job(id)
			if j.ID != id || j.Queue != "default" || j.Priority != 0 || j.Attempts != 0 || j.Reserved || j.ReservedBy != "" ||
				j.UniqueKey != "" || !j.ReservedAt.IsZero() || !j.ExpiresAt.IsZero() {
				f.Errorf("got %+v", j)
			}
			f.between("created_at", j.CreatedAt, before, after)
			f.between("available_at", j.AvailableAt, before, after)
			f.samePayload(j.Payload, `{"job":"send_invoice","data":{"order_id":42}}`)
			if n := f.count("SELECT count(*) FROM {jobs}"); n != 1 {
				f.Errorf("%d rows", n)
			}
			if got := c.take(1, "default"); len(got) != 1 || got[0].ID != id {
				f.Errorf("reserved %v, want job %d at once", got, id)
			}
		},
	},
	{
		"A2 a delay counts from the database's now",
		"a delayed job must not run early, nor be forgotten",
		func(f *fixture) {
			c := f.open()
			before := c.now()
			id, err := c.Later(f.Context(), time.Hour, sqlqueue.Named("job", nil))
			f.must(err)
			f.between("available_at", c.job(id).AvailableAt, before.Add(time.Hour), c.now().Add(time.Hour))
			if got := c.take(1, "default"); len(got) != 0 {
				f.Errorf("reserved %v an hour early", got)
			}
		},
	},
	{
		"A2 a delayed job is reserved when it is due, also without an expire",
		"in the documents' original, delayed jobs stuck for ever when expire was off",
		func(f *fixture) {
			c := f.open()
			due := c.job(c.push(sqlqueue.Delay(brief)))
			var got []sqlqueue.Job
			f.eventually("the delayed job is reserved", func() bool {
				got = c.exchange(driver.Exchange{Limit: 1, Reserve: fromFor(0, "default")}).Reserved
				return len(got) == 1
			})
			if got[0].ID != due.ID || got[0].ReservedAt.Before(due.AvailableAt) {
				f.Errorf("reserved at %v, due at %v", got[0].ReservedAt, due.AvailableAt)
			}
		},
	},
	{
		"A2 an absolute time is kept to the microsecond",
		"a time that drifts, or reads in another zone, runs jobs at the wrong hour",
		func(f *fixture) {
			c := f.open()
			zone := time.FixedZone("somewhere", 8*60*60)
			for _, at := range []time.Time{
				time.Date(2091, 3, 4, 5, 6, 7, 123456000, zone),
				time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC),
				time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC),
			} {
				if got := c.job(c.push(sqlqueue.At(at))).AvailableAt; !got.Equal(at) {
					f.Errorf("stored %v as %v", at, got)
				}
			}
			if got := c.take(5, "default"); len(got) != 1 {
				f.Errorf("reserved %d jobs, want the one whose time has passed", len(got))
			}
		},
	},
	{
		"A2 A3 a negative delay is due at once, behind what was there",
		"a delay that was computed and came out negative is not an error",
		func(f *fixture) {
			c := f.open()
			first := c.push()
			second := c.push(sqlqueue.Delay(-time.Hour))
			f.sameIDs(c.take(2, "default"), first, second)
		},
	},
	{
		"A5 data of any JSON shape comes back as it was",
		"handlers must get what producers gave",
		func(f *fixture) {
			c := f.open()
			for _, data := range []string{
				`null`, `true`, `0`, `-1.5`, `12345678901234567890`, `1e300`, `""`, `"text with \"quotes\", \\ and \n"`, `[]`,
				`[1,[2,{"a":null}]]`, `{}`, `{"b":1,"a":2,"nested":{"deep":[true,false]}}`, `"日本語 🎉 ñ"`,
			} {
				id, err := c.Push(f.Context(), sqlqueue.Named("job", json.RawMessage(data)))
				f.must(err)
				want := `{"job":"job","data":` + data + `}`
				f.samePayload(c.job(id).Payload, want)
				f.samePayload(c.reserve(1, "default")[0].Payload, want)
			}
		},
	},
	{
		"A5 what does not marshal writes nothing",
		"half a batch would be worse than none",
		func(f *fixture) {
			c := f.open()
			jobs := []sqlqueue.Pushable{sqlqueue.Named("fine", 1), sqlqueue.Named("broken", func() {})}
			if _, err := c.PushMany(f.Context(), jobs); err == nil {
				f.Error("a function was pushed")
			}
			f.empty()
		},
	},
	{
		"A6 a plain INSERT of queue and payload is a push",
		"programs in other languages, and triggers, push without any library",
		func(f *fixture) {
			c := f.open()
			before := f.defaultNow(c)
			f.insert("mail", `{"job":"send_invoice","data":{"order_id":42}}`)
			j := c.reserve(1, "mail")[0]
			after := f.defaultNow(c)
			f.samePayload(j.Payload, `{"job":"send_invoice","data":{"order_id":42}}`)
			if j.Priority != 0 || j.Attempts != 1 || j.UniqueKey != "" {
				f.Errorf("got %+v", j)
			}
			// A database may take the default's clock less finely than the store does.
			f.between("created_at", j.CreatedAt, before.Add(-time.Second), after.Add(time.Second))
			f.between("available_at", j.AvailableAt, before.Add(-time.Second), after.Add(time.Second))
			c.settle(done(j))
		},
	},
	{
		"A6 a plain INSERT of the payload alone goes to the queue default",
		"every other column has a default",
		func(f *fixture) {
			c := f.open()
			f.exec("INSERT INTO {jobs} (payload) VALUES (?)", `{"job":"ping"}`)
			f.inserted()
			f.samePayload(c.reserve(1, "default")[0].Payload, `{"job":"ping"}`)
		},
	},
	{
		"A6 job settings stand in the payload",
		"workers, and programs in other languages, read them there",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.Tries(0), sqlqueue.Timeout(1500*time.Millisecond), sqlqueue.BackoffList(time.Second, time.Minute))
			f.samePayload(c.job(id).Payload, `{"job":"job","data":null,"tries":0,"timeout":1.5,"backoff":[1,60]}`)
		},
	},
	{
		"A7 one push to several queues is one job on each",
		"one paid order is for mail, sms and chat, in parallel",
		func(f *fixture) {
			c := f.open()
			ids, err := c.PushMany(f.Context(), []sqlqueue.Pushable{
				sqlqueue.Named("paid", 1), sqlqueue.Named("paid", 2),
			}, sqlqueue.OnQueue("mail", "sms"))
			f.must(err)
			if len(ids) != 4 {
				f.Fatalf("got %d ids, want 4", len(ids))
			}
			f.sameIDs(c.take(9, "mail"), ids[0], ids[2])
			f.sameIDs(c.take(9, "sms"), ids[1], ids[3])
		},
	},
	{
		"A8 many jobs in one call keep their order, and their ids are theirs",
		"a caller stores the ids beside its own rows",
		func(f *fixture) {
			c := f.open()
			const n = 1500
			ids := c.pushMany(n)
			if !slices.IsSorted(ids) {
				f.Error("the ids do not ascend")
			}
			jobs := c.take(n, "default")
			f.sameIDs(jobs, ids...)
			for i, j := range jobs {
				if want := fmt.Sprintf(`{"job":"job","data":%d}`, i); !sameJSON(j.Payload, want) {
					f.Fatalf("job %d has payload %s, want %s", j.ID, j.Payload, want)
				}
			}
		},
	},
	{
		"A8 jobs of one call may differ in everything",
		"a batch is of whatever gathered",
		func(f *fixture) {
			c := f.open()
			at := time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)
			named := sqlqueue.Named("job", nil)
			ids, err := c.PushMany(f.Context(), []sqlqueue.Pushable{
				named,
				sqlqueue.With(named, sqlqueue.OnQueue("mail"), sqlqueue.Priority(-32768)),
				sqlqueue.With(named, sqlqueue.At(at), sqlqueue.Priority(32767)),
				sqlqueue.With(named, sqlqueue.Delay(time.Hour), sqlqueue.Unique("key")),
			})
			f.must(err)
			now := c.now()
			plain, mail, later, unique := c.job(ids[0]), c.job(ids[1]), c.job(ids[2]), c.job(ids[3])
			if plain.Queue != "default" || plain.Priority != 0 || plain.AvailableAt.After(now) || plain.UniqueKey != "" {
				f.Errorf("plain: %+v", plain)
			}
			if mail.Queue != "mail" || mail.Priority != -32768 || mail.AvailableAt.After(now) {
				f.Errorf("mail: %+v", mail)
			}
			if !later.AvailableAt.Equal(at) || later.Priority != 32767 {
				f.Errorf("later: %+v", later)
			}
			if unique.UniqueKey != "key" || unique.AvailableAt.Before(now.Add(50*time.Minute)) {
				f.Errorf("unique: %+v", unique)
			}
		},
	},
	{
		"A8 jobs of one call may differ in one thing alone",
		"what most jobs of a call have in common is not sent for each",
		func(f *fixture) {
			c := f.open()
			named, at := sqlqueue.Named("job", nil), time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)
			for what, other := range map[string]sqlqueue.PushOption{
				"queue": sqlqueue.OnQueue("mail"), "priority": sqlqueue.Priority(1),
				"time": sqlqueue.At(at), "delay": sqlqueue.Delay(time.Hour),
			} {
				ids, err := c.PushMany(f.Context(), []sqlqueue.Pushable{named, sqlqueue.With(named, other)})
				f.must(err)
				one, two := c.job(ids[0]), c.job(ids[1])
				differ := map[string]bool{
					"queue": one.Queue == "default" && two.Queue == "mail", "priority": one.Priority == 0 && two.Priority == 1,
					"time":  one.AvailableAt.Before(at) && two.AvailableAt.Equal(at),
					"delay": two.AvailableAt.Sub(one.AvailableAt) > 50*time.Minute,
				}
				if !differ[what] {
					f.Errorf("the jobs differ in their %s: got %+v and %+v", what, one, two)
				}
			}
		},
	},
	{
		"A8 an empty call does nothing",
		"a batch of nothing is not an error",
		func(f *fixture) {
			ids, err := f.open().PushMany(f.Context(), nil)
			if err != nil || len(ids) != 0 {
				f.Errorf("got %v, %v", ids, err)
			}
			f.empty()
		},
	},
	{
		"A11 a new queue needs nothing but its name",
		"queues that had to be declared would be forgotten",
		func(f *fixture) {
			c := f.open()
			for _, queue := range []string{
				"a", "with space", "Ünïcode", "队列", "🎉", "quote'\"`\\%_;--", "UPPER", "upper", strings.Repeat("🎉", 191),
			} {
				key := sqlqueue.Unique(queue) // the longest names of both stand in one index
				id := c.push(sqlqueue.OnQueue(queue), key)
				f.sameIDs(c.reserve(1, queue), id)
				if j := c.job(id); j.Queue != queue || j.UniqueKey != queue {
					f.Errorf("queue and key %q are stored as %q and %q", queue, j.Queue, j.UniqueKey)
				}
			}
		},
	},
	{
		"A11 names of queues tell case and accents apart",
		"a worker of Mail must not get the jobs of mail",
		func(f *fixture) {
			c := f.open()
			names := []string{"mail", "Mail", "MAIL", "máil", "mail2"}
			ids := map[string]int64{}
			for _, queue := range names {
				ids[queue] = c.push(sqlqueue.OnQueue(queue))
			}
			for _, queue := range names {
				f.sameIDs(c.take(9, queue), ids[queue])
			}
		},
	},
	{
		"an id is never used again",
		"an old reservation, or a log, would name another job",
		func(f *fixture) {
			c := f.open()
			last := c.push()
			for range 3 {
				if _, err := operator.New(c.Queue).Clear(f.Context(), "", true); err != nil {
					f.Fatal(err)
				}
				id := c.push()
				if id <= last {
					f.Errorf("id %d after %d", id, last)
				}
				last = id
			}
		},
	},
	{
		"a cancelled context pushes nothing",
		"a caller that has given up must not find a job later",
		func(f *fixture) {
			c := f.open()
			ctx, cancel := context.WithCancel(f.Context())
			cancel()
			if _, err := c.Push(ctx, sqlqueue.Named("job", nil)); !errors.Is(err, context.Canceled) {
				f.Errorf("got %v, want context.Canceled", err)
			}
			f.empty()
		},
	},
	{
		"pushes at once from many goroutines, some of which give up",
		"concurrent pushes may share a statement, and one caller's cancelled context must not reach the others",
		pushTogether,
	},
}

func pushTogether(f *fixture) {
	const callers = 120
	c := f.open()
	errs := make([]error, callers)
	ids := make([]int64, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			ctx, cancel := context.WithCancel(f.Context())
			defer cancel()
			if i%3 == 0 {
				all.Go(cancel)
			}
			ids[i], errs[i] = c.Push(ctx, sqlqueue.Named("job", i))
		})
	}
	all.Wait()
	stored := map[int64]string{}
	for _, j := range f.allJobs(c) {
		stored[j.ID] = string(j.Payload)
	}
	made, unknown := 0, 0
	for i, err := range errs {
		payload, there := stored[ids[i]]
		switch {
		case err == nil && (!there || !sameJSON([]byte(payload), fmt.Sprintf(`{"job":"job","data":%d}`, i))):
			f.Errorf("push %d got id %d; there is %s", i, ids[i], payload)
		case err == nil:
			made++
		case i%3 != 0:
			f.Errorf("push %d, whose context was never cancelled, failed: %v", i, err)
		case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
			unknown++
		case !errors.Is(err, context.Canceled):
			f.Errorf("push %d: %v", i, err)
		}
	}
	if len(stored) < made || len(stored) > made+unknown {
		f.Errorf("%d pushes were made and %d are unknown; there are %d jobs", made, unknown, len(stored))
	}
}
