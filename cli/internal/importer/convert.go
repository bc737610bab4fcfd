package importer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// row is a job as another queue has it.
type row struct {
	id       any // int64 or string
	queue    string
	payload  []byte
	attempts int
	at       float64 // since when, or from when, it is available: seconds since 1970
	name     string  // the rest is for queues that have columns for it
	tries    int
	priority int
}

// job is what a row becomes.
type job struct {
	queue    string
	payload  sqlqueue.Payload
	at       time.Time
	priority int
	attempts int // if the row does not have them in a column
}

// convert makes a job of a row, by its new names.
func (i *Import) convert(p part, r row) (job, error) {
	j, err := p.convert(r)
	if err != nil {
		return j, err
	}
	return j, i.finish(&j)
}

// finish gives a job its new names, and checks what it has become.
func (i *Import) finish(j *job) error {
	j.queue = cmp.Or(i.settings.Queues[j.queue], j.queue)
	j.payload.Job = cmp.Or(i.settings.Names[j.payload.Job], j.payload.Job)
	j.priority = min(max(j.priority, math.MinInt16), math.MaxInt16)
	if err := sqlqueue.CheckQueueName(j.queue); err != nil {
		return err
	}
	text, err := json.Marshal(j.payload)
	if err == nil {
		_, err = sqlqueue.ParsePayload(text)
	}
	return err
}

// pushable is the job with its settings.
func (j job) pushable() sqlqueue.Pushable {
	options := []sqlqueue.PushOption{
		sqlqueue.OnQueue(j.queue), sqlqueue.Priority(j.priority), sqlqueue.MaxExceptions(j.payload.MaxExceptions),
	}
	if !j.at.IsZero() {
		options = append(options, sqlqueue.At(j.at))
	}
	if j.payload.Tries != nil {
		options = append(options, sqlqueue.Tries(*j.payload.Tries))
	}
	if j.payload.Timeout != nil {
		options = append(options, sqlqueue.Timeout(time.Duration(*j.payload.Timeout)))
	}
	if len(j.payload.Backoff) > 0 {
		options = append(options, sqlqueue.BackoffList(j.payload.Backoff...))
	}
	if !j.payload.RetryUntil.IsZero() {
		options = append(options, sqlqueue.RetryUntil(j.payload.RetryUntil))
	}
	return sqlqueue.With(sqlqueue.Named(j.payload.Job, j.payload.Data), options...)
}

func moment(seconds float64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// phpPayload is what Laravel and think-queue have in common.
type phpPayload struct {
	DisplayName   string          `json:"displayName"`
	Job           string          `json:"job"`
	MaxTries      *int            `json:"maxTries"`
	MaxExceptions *int            `json:"maxExceptions"`
	Timeout       *float64        `json:"timeout"`    // seconds
	Backoff       json.RawMessage `json:"backoff"`    // seconds: 5, "1,5,10", or [1,5,10]
	RetryUntil    *int64          `json:"retryUntil"` // seconds since 1970
	TimeoutAt     *int64          `json:"timeoutAt"`  // the same, in think-queue and old versions of Laravel
	Attempts      int             `json:"attempts"`   // of failed jobs
	Data          json.RawMessage `json:"data"`
}

// php converts a row of Laravel or think-queue: the name is that of the class, and the data stays as it is. Of jobs that are objects, it
// has the serialized object as "command".
func php(r row) (job, error) {
	var p phpPayload
	if err := json.Unmarshal(r.payload, &p); err != nil {
		return job{}, fmt.Errorf("its payload is not in the format of that queue: %w", err)
	}
	name := p.Job
	if strings.Contains(p.Job, "CallQueuedHandler") {
		var object struct {
			CommandName string `json:"commandName"`
		}
		_ = json.Unmarshal(p.Data, &object) // without a name it is the handler's
		name = cmp.Or(p.DisplayName, object.CommandName, p.Job)
	}
	if name == "" {
		return job{}, errors.New("its payload names no job")
	}
	j := job{queue: r.queue, at: moment(r.at), payload: sqlqueue.Payload{Job: name, Data: p.Data}}
	if len(p.Data) == 0 {
		j.payload.Data = json.RawMessage("null")
	}
	j.payload.Tries = p.MaxTries
	if p.MaxExceptions != nil {
		j.payload.MaxExceptions = *p.MaxExceptions
	}
	if p.Timeout != nil {
		timeout := sqlqueue.Seconds(*p.Timeout * float64(time.Second))
		j.payload.Timeout = &timeout
	}
	if until := cmp.Or(p.RetryUntil, p.TimeoutAt); until != nil && *until > 0 {
		j.payload.RetryUntil = time.Unix(*until, 0).UTC()
	}
	var err error
	j.payload.Backoff, err = backoff(p.Backoff)
	return j, err
}

// backoff reads 5, "1,5,10" or [1,5,10].
func backoff(text json.RawMessage) (sqlqueue.Backoff, error) {
	list := strings.Trim(string(text), `"[] `)
	if list == "" || list == "null" {
		return nil, nil
	}
	var waits sqlqueue.Backoff
	for part := range strings.SplitSeq(list, ",") {
		seconds, err := strconv.ParseFloat(strings.Trim(part, `" `), 64)
		if err != nil {
			return nil, fmt.Errorf("its backoff %s is not numbers of seconds", text)
		}
		waits = append(waits, time.Duration(seconds*float64(time.Second)))
	}
	return waits, nil
}

// river converts a row of River. Its priorities begin at 1.
func river(r row) (job, error) {
	r.priority--
	return oban(r)
}

// oban converts a row of Oban: the name is the worker's module, and the data the args.
func oban(r row) (job, error) {
	return job{
		queue: r.queue, at: moment(r.at), priority: r.priority,
		payload: sqlqueue.Payload{Job: r.name, Data: r.payload, Tries: &r.tries},
	}, nil
}

// gue converts a row of gue: the name is the type. A push without a queue writes "" there, and without args no bytes. It retries for ever:
// tries are 0.
func gue(r row) (job, error) {
	r.queue = cmp.Or(r.queue, "default")
	if len(r.payload) == 0 {
		r.payload = []byte("null")
	}
	if !json.Valid(r.payload) {
		return job{}, errors.New("its args are not JSON")
	}
	return oban(r)
}

// solid converts a row of Solid Queue: the name is the class of the Active Job, and the data its list of arguments.
func solid(r row) (job, error) {
	var p struct {
		Arguments  json.RawMessage `json:"arguments"`
		Executions int             `json:"executions"`
	}
	if err := json.Unmarshal(r.payload, &p); err != nil || p.Arguments == nil {
		return job{}, errors.New("its arguments are not those of an Active Job")
	}
	return job{
		queue: r.queue, at: moment(r.at), priority: r.priority, attempts: p.Executions,
		payload: sqlqueue.Payload{Job: r.name, Data: p.Arguments},
	}, nil
}
