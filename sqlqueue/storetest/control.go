package storetest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var controlCases = []testCase{
	{
		"idle workers of the same queues are counted",
		"the more of them there are, the less often each looks for jobs",
		func(f *fixture) {
			c := f.open()
			row := func(id, queues string) driver.Worker {
				return driver.Worker{
					ID: id, Name: id, Host: "host", Queues: strings.Split(queues, ","), Concurrency: 2, Status: "running", Busy: 1,
				}
			}
			want := func(n int, why string) {
				f.Helper()
				for _, x := range []driver.Exchange{
					{Number: "one-1", IdleWorkers: true},
					{Number: "one-1", IdleWorkers: true, Chores: true, Requeue: 1},
					{Number: "one-1", IdleWorkers: true, Idle: true, Limit: 1, Reserve: from("mail", "sms")},
				} {
					answer, err := c.Exchange(f.Context(), x)
					f.must(err)
					if answer.IdleWorkers != n {
						f.Errorf("%s: %d idle workers, want %d", why, answer.IdleWorkers, n)
					}
				}
			}
			want(0, "it has no row")
			one := row("one", "mail,sms")
			c.beat(driver.Beat{Worker: one})
			want(1, "itself")
			two, busy, paused, other := row("two", "mail,sms"), row("busy", "mail,sms"), row("paused", "mail,sms"), row("other", "mail")
			busy.Busy, paused.Status = 2, "paused"
			for _, w := range []driver.Worker{two, busy, paused, other} {
				c.beat(driver.Beat{Worker: w})
			}
			want(2, "not those that are busy, paused, or of other queues")
			busy.Busy = 1
			c.beat(driver.Beat{Worker: busy})
			want(3, "one is not busy any more")
			d := c.database()
			s := d.Statement("UPDATE %s SET seen_at = ", d.Table("job_workers"))
			s.Add("%s", s.Ago(2*driver.WorkerSeen))
			s.Add(" WHERE id = %s", s.Arg("two"))
			_, err := s.Exec(f.Context(), d.DB)
			f.must(err)
			want(2, "one has not been seen for long")
			c.beat(driver.Beat{Worker: busy, Leave: true})
			want(1, "one has left")
			one.Busy = 2
			c.beat(driver.Beat{Worker: one})
			want(0, "itself is busy")
			if answer, err := c.Exchange(f.Context(), driver.Exchange{Number: "two-1"}); err != nil || answer.IdleWorkers != 0 {
				f.Errorf("nobody has asked, and the answer is %d, %v", answer.IdleWorkers, err)
			}
		},
	},
	{
		"D10 a paused queue gives nothing, and the others go on",
		"one broken receiver must not stop everything",
		func(f *fixture) {
			c, admin := f.open(), f.open()
			mail, sms := c.push(sqlqueue.OnQueue("mail")), c.push(sqlqueue.OnQueue("sms"))
			admin.control("mail", operator.ControlChange{Pause: true})
			f.sameIDs(c.take(9, "mail", "sms"), sms)
			f.sameIDs(c.take(9, "mail"))
			if got := c.controlOf("mail"); !got.Paused || !got.PausedUntil.IsZero() {
				f.Errorf("got %+v, want paused until resumed", got)
			}
			admin.control("mail", operator.ControlChange{Resume: true})
			f.sameIDs(c.reserve(1, "mail"), mail)
			if got := c.controlOf("mail"); got.Paused {
				f.Errorf("got %+v, want resumed", got)
			}
		},
	},
	{
		"D10 a pause of all queues gives nothing at all",
		"before a deployment, everything stands still",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.OnQueue("mail"))
			c.control("", operator.ControlChange{Pause: true})
			f.sameIDs(c.take(9, "mail", "default"))
			if got := c.controlOf(""); !got.Paused {
				f.Errorf("got %+v, want paused", got)
			}
			c.control("", operator.ControlChange{Resume: true})
			f.sameIDs(c.reserve(1, "mail"), id)
		},
	},
	{
		"D10 what runs is still settled, kept and requeued while its queue is paused",
		"a pause must not make running jobs run twice",
		func(f *fixture) {
			c := f.open()
			c.pushMany(3)
			jobs := c.reserve(2, "default")
			expired := c.reserveFrom(1, fromFor(brief, "default"))
			c.control("default", operator.ControlChange{Pause: true})
			c.control("", operator.ControlChange{Pause: true})
			c.expire(expired...)
			answer := c.exchange(driver.Exchange{Settle: []driver.Settlement{done(jobs[0])}, Touch: []driver.Touch{touch(jobs[1], keep)}})
			if len(answer.Lost)+len(answer.Locked) > 0 {
				f.Errorf("lost %v, locked %v", answer.Lost, answer.Locked)
			}
		},
	},
	{
		"D10 a timed pause ends by itself",
		"nobody remembers to resume at night",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			before := c.now()
			c.control("default", operator.ControlChange{Pause: true, PauseFor: time.Hour})
			f.between("paused_until", c.controlOf("default").PausedUntil, before.Add(time.Hour), c.now().Add(time.Hour))
			f.sameIDs(c.take(1, "default"))

			c.control("default", operator.ControlChange{Pause: true, PauseFor: brief})
			var got []sqlqueue.Job
			f.eventually("the pause ends", func() bool {
				got = c.take(1, "default")
				return len(got) > 0
			})
			f.sameIDs(got, id)
			if got := c.controlOf("default"); got.Paused || !got.PausedUntil.IsZero() {
				f.Errorf("a pause that has passed reads as %+v", got)
			}

			c.control("default", operator.ControlChange{Pause: true, PauseFor: brief})
			c.control("default", operator.ControlChange{Pause: true})
			if got := c.controlOf("default"); !got.Paused || !got.PausedUntil.IsZero() {
				f.Errorf("paused until resumed, after a timed pause: %+v", got)
			}
		},
	},
	{
		"D7 restart counts",
		"a worker compares the count with the one that it started under, so no clock matters",
		func(f *fixture) {
			c := f.open()
			start := c.controlOf("default").Restarts
			all := c.controlOf("").Restarts
			for n := int64(1); n <= 3; n++ {
				c.control("default", operator.ControlChange{Restart: true})
				if got := c.controlOf("default").Restarts; got != start+n {
					f.Errorf("restarts is %d, want %d", got, start+n)
				}
			}
			c.control("", operator.ControlChange{Restart: true})
			c.control("default", operator.ControlChange{Pause: true})
			if one, every := c.controlOf("default").Restarts, c.controlOf("").Restarts; one != start+3 || every != all+1 {
				f.Errorf("restarts are %d and %d, want %d and %d", one, every, start+3, all+1)
			}
		},
	},
	{
		"D9 maintenance stops all but forced workers",
		"down, up, --force",
		func(f *fixture) {
			c := f.open()
			ids := c.pushMany(3)
			down, up := true, false
			c.control("", operator.ControlChange{Maintenance: &down})
			f.sameIDs(c.take(1, "default"))
			if !c.controlOf("").Maintenance {
				f.Error("maintenance is not told")
			}
			forced := driver.Exchange{Limit: 1, Reserve: from("default"), Force: true}
			f.sameIDs(c.exchange(forced).Reserved, ids[0])
			c.control("", operator.ControlChange{Pause: true})
			f.sameIDs(c.exchange(forced).Reserved)
			c.control("", operator.ControlChange{Maintenance: &up, Resume: true})
			f.sameIDs(c.reserve(1, "default"), ids[1])
		},
	},
	{
		"B4 the expire of a queue is told",
		"expire can be set per queue while workers run",
		func(f *fixture) {
			c := f.open()
			if got := c.controlOf("mail").Expire; got != nil {
				f.Errorf("expire is %v before anybody set it", *got)
			}
			for _, want := range []time.Duration{90 * time.Second, 1500 * time.Millisecond, 0, 24 * time.Hour} {
				c.control("mail", operator.ControlChange{Expire: &want})
				if got := c.controlOf("mail").Expire; got == nil || *got != want {
					f.Errorf("expire is %v, want %v", got, want)
				}
			}
			c.control("mail", operator.ControlChange{Pause: true})
			if got := c.controlOf("mail").Expire; got == nil {
				f.Error("a pause forgot the expire")
			}
			c.control("mail", operator.ControlChange{ResetExpire: true})
			if got := c.controlOf("mail"); got.Expire != nil || !got.Paused {
				f.Errorf("after the reset: %+v", got)
			}
		},
	},
	{
		"an answer has the controls of the queues that were asked, and of all",
		"a worker needs its own, and no others",
		func(f *fixture) {
			c := f.open()
			for _, queue := range []string{"", "mail", "sms", "other"} {
				c.control(queue, operator.ControlChange{Restart: true})
			}
			for _, limit := range []int{0, 1} {
				var got []string
				for _, control := range c.exchange(driver.Exchange{Limit: limit, Reserve: from("sms", "mail", "never")}).Controls {
					if control.Restarts > 0 {
						got = append(got, control.Queue)
					}
				}
				slices.Sort(got)
				if want := []string{"", "mail", "sms"}; !slices.Equal(got, want) {
					f.Errorf("controls of %q, want %q", got, want)
				}
			}
		},
	},
	{
		"the control of all queues comes first among the queues",
		"an operator must see at once that everything is paused",
		func(f *fixture) {
			c := f.open()
			c.push()
			c.control("", operator.ControlChange{Pause: true, PauseFor: time.Hour})
			queues, err := operator.New(c.Queue).Queues(f.Context(), 0)
			f.must(err)
			if len(queues) != 2 || queues[0].Queue != "" || !queues[0].Control.Paused || queues[1].Queue != "default" ||
				queues[1].Control.Paused {
				f.Errorf("got %+v", queues)
			}
		},
	},
	{
		"two operators at once lose nothing",
		"a restart that is lost leaves an old worker running",
		func(f *fixture) {
			const clients, times = 4, 10
			start := f.open().controlOf("default").Restarts
			finished := make(chan error, clients)
			for range clients {
				c := f.open()
				go func() {
					var err error
					for range times {
						if err == nil {
							err = operator.New(c.Queue).Control(f.Context(), "default", operator.ControlChange{Restart: true})
						}
					}
					finished <- err
				}()
			}
			for range clients {
				f.must(<-finished)
			}
			if got := f.open().controlOf("default").Restarts; got != start+clients*times {
				f.Errorf("restarts is %d, want %d", got, start+clients*times)
			}
		},
	},
}

func (c *client) control(queue string, change operator.ControlChange) {
	c.f.Helper()
	c.f.must(operator.New(c.Queue).Control(c.f.Context(), queue, change))
}

// controlOf is what an exchange answers about a queue, or under the empty name about all.
func (c *client) controlOf(queue string) driver.Control {
	c.f.Helper()
	for _, control := range c.exchange(driver.Exchange{Reserve: from(cmp.Or(queue, "default"))}).Controls {
		if control.Queue == queue {
			return control
		}
	}
	return driver.Control{Queue: queue}
}
