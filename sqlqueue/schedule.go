package sqlqueue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/cron"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

// Missed says what to do about times at which no worker ran.
type Missed string

// What to do about missed times.
const (
	SkipMissed Missed = "skip" // they are left out; times are missed when the first of them is 10 s late
	OneMissed  Missed = "one"  // the newest is made up for, at once
	AllMissed  Missed = "all"  // each is made up for
)

// Schedule pushes a job again and again: exactly one job for each time, however many workers run.
type Schedule struct {
	// Name identifies the schedule: at most 191 characters.
	Name string

	// Set either Cron or Every. Cron has five fields (minute, hour, day, month, weekday) or is a name such as @daily. Every is an interval
	// of at least 1 s, counted from when the schedule was first set, such as "10 minutes", or days, weeks or months with a time of day,
	// such as "2 weeks on mon,fri at 02:30".
	Cron, Every string

	// Zone is the time zone, such as "Asia/Shanghai". Default UTC. At changes to and from daylight saving time, each time of day still runs
	// once: a skipped time runs at the change, and a repeated time runs the first time. Schedules by hours or minutes, such as
	// "*/10 * * * *", follow real time.
	Zone string

	// Job is the job to push. With adds options: queue, priority, and settings for the worker such as Tries. A time or a unique key is an
	// error.
	Job Pushable

	// Missed says what to do about times at which no worker ran. Default OneMissed.
	Missed Missed

	// CatchUp is how old a missed time may be to be made up for. Default a day. AllMissed makes up for at most 1,000 times at once.
	CatchUp time.Duration

	// NoOverlap skips a time while the previous job waits or runs. Its jobs have the unique key "schedule:" followed by the Name.
	NoOverlap bool

	// Origin says who sets the schedule. Default "code". To change a schedule of another origin is an error.
	Origin string
}

// ScheduleError says what is wrong with a schedule, and what would be right. Nothing was written.
type ScheduleError struct {
	Name string
	Err  error
}

func (e *ScheduleError) Error() string { return fmt.Sprintf("schedule %q: %v", e.Name, e.Err) }

// Unwrap returns what is wrong.
func (e *ScheduleError) Unwrap() error { return e.Err }

const (
	defaultCatchUp = 24 * time.Hour
	defaultOrigin  = "code"

	onTime  = 10 * time.Second // times are missed when the first of them is later than this
	mostAll = 1000             // times that are made up for in one transaction
)

// Schedule creates a schedule, or changes the one with its name. Call it whenever a program starts: without a change it writes nothing.
// A change keeps whether the schedule is paused and how often it has run, and also its next time unless Cron, Every or Zone changes. It
// pushes nothing now: the first job comes at the next time.
//
// The error of a schedule that is not valid is a *ScheduleError.
func (q *Queue) Schedule(ctx context.Context, s Schedule) error {
	return wrap("schedule", q.schedule(ctx, s))
}

func (q *Queue) schedule(ctx context.Context, s Schedule) error {
	store, err := q.scheduler(ctx)
	if err != nil {
		return err
	}
	now, err := q.clock(ctx)
	if err != nil {
		return err
	}
	found, err := store.Schedules(ctx, s.Name)
	if err != nil {
		return err
	}
	created := now
	if len(found) > 0 {
		created = found[0].CreatedAt
	}
	made, when, err := q.makeSchedule(s, created, now)
	if err != nil {
		return err
	}
	moved := true
	if len(found) > 0 {
		old := found[0]
		if old.Origin != made.Origin {
			return &ScheduleError{
				s.Name, fmt.Errorf("it was set by %q: remove it first, or use another name", cmp.Or(old.Origin, "an INSERT")),
			}
		}
		moved = old.Cron != made.Cron || old.Every != made.Every || old.Zone != made.Zone || old.NextAt.IsZero()
		if !moved && q.same(old, made) {
			return nil
		}
	}
	made.NextAt = when.Next(now)
	return store.SetSchedule(ctx, made, moved)
}

// same reports whether a schedule of the table says the same as one that is to be written.
func (q *Queue) same(old, made driver.Schedule) bool {
	return old.Queue == made.Queue && old.Priority == made.Priority && q.samePayload(old.Payload, made.Payload) &&
		old.Missed == made.Missed && old.CatchUp == made.CatchUp && old.Overlap == made.Overlap
}

// makeSchedule checks a schedule and makes its row. Its error is a *ScheduleError.
func (q *Queue) makeSchedule(s Schedule, created, now time.Time) (made driver.Schedule, when *cron.Rule, err error) {
	const says = "a schedule's name has 1 to 191 characters, no comma and no space at either end"
	var rows []driver.NewJob
	err = rule.Name("schedule's name", s.Name, says)
	if err == nil {
		when, err = parseRule(s.Cron, s.Every, s.Zone, created, now)
	}
	if err == nil {
		rows, err = q.scheduled(s.Job)
	}
	switch {
	case err != nil:
	case s.Missed != "" && s.Missed != SkipMissed && s.Missed != OneMissed && s.Missed != AllMissed:
		err = fmt.Errorf("missed is %q: it must be skip, one or all", s.Missed)
	case s.CatchUp < 0 || s.CatchUp > rule.MaxDelay:
		err = fmt.Errorf("catch-up is %v: it must be from 0 (a day) to a hundred years", s.CatchUp)
	}
	if err != nil {
		return made, nil, &ScheduleError{s.Name, err}
	}
	made = driver.Schedule{
		Name: s.Name, Cron: s.Cron, Every: s.Every, Zone: cmp.Or(s.Zone, "UTC"), Queue: rows[0].Queue, Priority: rows[0].Priority,
		Payload: rows[0].Payload, Missed: string(cmp.Or(s.Missed, OneMissed)), CatchUp: cmp.Or(s.CatchUp, defaultCatchUp), Overlap: "allow",
		Origin: cmp.Or(s.Origin, defaultOrigin), CreatedAt: created,
	}
	if s.NoOverlap {
		made.Overlap = "skip"
	}
	return made, when, nil
}

// scheduled makes the row of a job that a schedule pushes.
func (q *Queue) scheduled(job Pushable) ([]driver.NewJob, error) {
	p := &push{queues: q.queues}
	if err := q.complete(p, job, nil); err != nil {
		return nil, err
	}
	if err := checkScheduled(p); err != nil {
		return nil, err
	}
	rows, err := p.addRows(nil, q.config.Codec == JSON)
	if err == nil {
		err = q.encryptRows(rows)
	}
	return rows, err
}

func checkScheduled(p *push) error {
	switch {
	case len(p.queues) != 1:
		return fmt.Errorf("OnQueue names %d queues: name one, and make a schedule for each", len(p.queues))
	case p.unique != nil || p.uniquely.byData:
		return errors.New("a scheduled job cannot have a unique key: use NoOverlap")
	case p.delay != 0 || !p.at.IsZero():
		return errors.New("a scheduled job cannot have Delay or At: the schedule says when")
	}
	return nil
}

// parseRule reads when a schedule comes. The error has the next times of what would be right.
func parseRule(expression, every, zone string, created, now time.Time) (*cron.Rule, error) {
	when, err := cron.Parse(expression, every, zone, created)
	var mistake *cron.Mistake
	if !errors.As(err, &mistake) {
		return when, err
	}
	right, rightErr := cron.Parse(mistake.Cron, mistake.Every, mistake.Zone, created)
	if rightErr != nil {
		return nil, err
	}
	form := fmt.Sprintf("cron %q", mistake.Cron)
	if mistake.Cron == "" {
		form = fmt.Sprintf("every %q", mistake.Every)
	}
	if mistake.Zone != "" && mistake.Zone != "UTC" {
		form += fmt.Sprintf(" in the zone %s", mistake.Zone)
	}
	var times []string
	for _, t := range nextTimes(right, now, 3) {
		times = append(times, t.Format("2006-01-02 15:04:05 MST"))
	}
	return nil, fmt.Errorf("%w. %s would be right: its next times are %s", err, form, strings.Join(times, ", "))
}

func nextTimes(when *cron.Rule, after time.Time, n int) []time.Time {
	times := make([]time.Time, 0, n)
	for t := when.Next(after); !t.IsZero() && len(times) < n; t = when.Next(t) {
		times = append(times, t)
	}
	return times
}

// ScheduleTimes returns the next n times of a schedule after a time, in its zone. Intervals are counted from created, when the schedule was
// first set. The error says what is wrong with cron, every or zone, and what would be right.
func ScheduleTimes(expression, every, zone string, created, after time.Time, n int) ([]time.Time, error) {
	when, err := parseRule(expression, every, zone, created, after)
	if err != nil {
		return nil, err
	}
	return nextTimes(when, after, n), nil
}

func (q *Queue) scheduler(ctx context.Context) (driver.Scheduler, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := driver.As[schedulerStore](store)
	if !ok {
		return nil, fmt.Errorf("the queue's store keeps no schedules: %w", errors.ErrUnsupported)
	}
	return s, nil
}

type schedulerStore interface {
	driver.Store
	driver.Scheduler
}

func (q *Queue) clock(ctx context.Context) (time.Time, error) {
	s, err := q.scheduler(ctx)
	if err != nil {
		return time.Time{}, err
	}
	_, _, now, err := s.DueSchedules(ctx)
	return now, err
}

// RunSchedules pushes the jobs of all due schedules. It returns how many it pushed, and how long it is until the next schedule is due, by
// the database's clock; negative if there is none. Workers call it; a program without workers may call it too. It is safe to call it in
// many processes at once: each job is pushed once.
//
// If another program wrote a row that is not valid, that schedule is paused and the error says why; the other schedules still run.
func (q *Queue) RunSchedules(ctx context.Context) (pushed int, next time.Duration, err error) {
	store, err := q.scheduler(ctx)
	if err != nil {
		return 0, -1, wrap("schedules", err)
	}
	due, at, now, err := store.DueSchedules(ctx)
	if err != nil {
		return 0, -1, wrap("schedules", err)
	}
	var wrong []error
	for _, s := range due {
		tick, err := tickOf(s, now)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("schedule %q is paused: %w", s.Name, err))
		}
		if err := q.encryptRows(tick.Jobs); err != nil {
			return pushed, 0, wrap("schedules", err)
		}
		done, err := store.Tick(ctx, tick)
		if err != nil {
			return pushed, 0, wrap("schedules", errors.Join(append(wrong, err)...))
		}
		if done && len(tick.Jobs) > 0 {
			pushed += len(tick.Jobs)
			q.pushes.ring(tick.Jobs)
		}
	}
	next = -1
	if !at.IsZero() {
		next = max(at.Sub(now), 0)
	}
	return pushed, next, wrap("schedules", errors.Join(wrong...))
}

// PushScheduled pushes the job of a schedule now, as if it were due. It does not change the schedule.
func (q *Queue) PushScheduled(ctx context.Context, s driver.Schedule) (int64, error) {
	store, err := q.open(ctx)
	if err != nil {
		return 0, wrap("schedule", err)
	}
	now, err := q.clock(ctx)
	if err != nil {
		return 0, wrap("schedule", err)
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		zone = time.UTC
	}
	job, err := jobOf(s, now.In(zone))
	if err != nil {
		return 0, wrap("schedule", err)
	}
	rows := []driver.NewJob{job}
	if err := q.encryptRows(rows); err != nil {
		return 0, wrap("schedule", err)
	}
	pushed, err := store.Push(ctx, rows)
	if err != nil {
		return 0, wrap("schedule", err)
	}
	q.pushes.ring(rows)
	ids, err := idsOf(rows, pushed)
	return ids[0], err
}

// tickOf decides what a schedule that is due pushes at now, by the database's clock. With an error it is paused.
func tickOf(s driver.Schedule, now time.Time) (driver.Tick, error) {
	tick := driver.Tick{Name: s.Name, At: s.NextAt}
	when, err := parseRule(s.Cron, s.Every, s.Zone, s.CreatedAt, now)
	if err != nil {
		tick.Pause = true
		return tick, err
	}
	if s.NextAt.IsZero() {
		tick.Next = when.Next(now)
		return tick, nil
	}
	newest := newestTime(when, s.NextAt, now)
	if tick.Next = when.Following(newest); tick.Next.IsZero() {
		tick.Pause = true
	}
	missed, first := Missed(s.Missed), s.NextAt
	if now.Sub(s.NextAt) <= onTime {
		missed = AllMissed
	} else if missed == AllMissed {
		first = later(first, when.Next(now.Add(-s.CatchUp-time.Microsecond)))
	}
	var made []time.Time
	switch missed {
	case SkipMissed:
	case AllMissed:
		for t := first; !t.After(now) && !t.IsZero(); t = when.Following(t) {
			if len(made) == mostAll {
				tick.Next = t
				break
			}
			made = append(made, t)
		}
	default:
		if now.Sub(newest) <= s.CatchUp {
			made = []time.Time{newest}
		}
	}
	for _, t := range made {
		job, err := jobOf(s, t.In(when.Zone()))
		if err != nil {
			return driver.Tick{Name: s.Name, At: s.NextAt, Next: tick.Next, Pause: true}, err
		}
		tick.Jobs, tick.Last = append(tick.Jobs, job), t
	}
	return tick, nil
}

// newestTime is the last time up to now for which a schedule comes whose next one is due: that one if nothing came since.
func newestTime(when *cron.Rule, due, now time.Time) time.Time {
	if last := when.Last(due, now); last.After(due) {
		return last
	}
	return due
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// jobOf is the job of a schedule for a time. Its payload has the time as its member tick.
func jobOf(s driver.Schedule, at time.Time) (driver.NewJob, error) {
	if err := CheckQueueName(s.Queue); err != nil {
		return driver.NewJob{}, err
	}
	if _, err := ParsePayload(s.Payload); err != nil {
		return driver.NewJob{}, err
	}
	payload := jsonobject.Parse(s.Payload)
	tick, err := json.Marshal(at)
	if err != nil {
		return driver.NewJob{}, err
	}
	payload.Set("tick", tick)
	text, err := payload.Encode()
	job := driver.NewJob{Queue: s.Queue, Priority: s.Priority, Payload: text}
	if s.Overlap == "skip" {
		job.UniqueKey = overlapKey(s.Name)
	}
	return job, err
}

// overlapKey is the unique key of the jobs of a schedule that do not overlap.
func overlapKey(name string) string {
	const most = 191
	key := "schedule:" + name
	if runes := []rune(key); len(runes) > most {
		return strings.TrimSpace(string(runes[:most]))
	}
	return key
}
