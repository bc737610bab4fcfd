package sqlqueue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

// Payload is what a job carries: `{"job": "send_invoice", "data": {"order_id": 42}}`, and optional settings, left out when unset. A
// job's own setting beats the worker's.
type Payload struct {
	Job        string          `json:"job"`                  // the name that finds the handler
	Data       json.RawMessage `json:"data"`                 // any JSON value; null when left out
	Tries      *int            `json:"tries,omitzero"`       // how often the handler runs at most; 0: no limit
	Timeout    *Seconds        `json:"timeout,omitzero"`     // how long the handler may run; 0: no limit
	Backoff    Backoff         `json:"backoff,omitzero"`     // how long to wait after the 1st, 2nd, … error; the last repeats
	RetryUntil time.Time       `json:"retry_until,omitzero"` // no run starts later

	// MaxExceptions is after how many errors the job fails, however many tries it has left; 0: no limit. Releases do not count.
	MaxExceptions int `json:"max_exceptions,omitzero"`

	// Keep is how long the job is kept when it is done, with its result; 0: not at all. Nil: as an operator has said of the queue.
	Keep *Seconds `json:"keep,omitzero"`

	Then   []Next  `json:"then,omitzero"`   // pushed when the job is done
	Catch  []Next  `json:"catch,omitzero"`  // pushed when it has failed for good
	Parent *Parent `json:"parent,omitzero"` // how the job ended whose Then or Catch this one was; nil: it was pushed by itself

	// Tick is the time for which a schedule has pushed the job, in the schedule's zone.
	Tick time.Time `json:"tick,omitzero"`

	// Trace is the trace context in which the job was pushed, as W3C's traceparent. What is no traceparent in the table counts as none.
	Trace Trace `json:"trace,omitzero"`
}

// ParsePayload reads a payload from the table. Names of members must match exactly: "Job" is not "job". Unknown settings are ignored.
// The error says what is wrong: not an object, no name of a handler, a setting of the wrong type or out of range, or a member that is
// there twice, of which each database would take another. When it is about another member than the name, Job is still the name, by
// which lists and filters know the job.
func ParsePayload(payload []byte) (Payload, error) {
	if p, ok := parsePlain(payload); ok {
		return p, nil
	}
	var p Payload
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return p, errors.New(`payload is not an object such as {"job": "name", "data": {}}`)
	}
	if !json.Valid(payload) {
		return p, fmt.Errorf("payload: %w", json.Unmarshal(payload, &p))
	}
	all := jsonobject.Parse(payload)
	name := all.Text("job")
	settings, err := known(all, members)
	if err != nil {
		return Payload{Job: name}, err
	}
	if all.Count("then")+all.Count("catch") > 0 {
		err = checkDepth(settings)
	}
	if err == nil {
		err = json.Unmarshal(settings, &p)
	}
	if err != nil {
		p.Job = name
		return p, fmt.Errorf("payload: %w", err)
	}
	if p.Data == nil {
		p.Data = json.RawMessage("null")
	}
	return p, p.check()
}

// known is a payload without the members that Payload does not have. encoding/json by itself would take others that differ in case, and
// the last of those that are there twice.
func known(all jsonobject.Object, members []string) ([]byte, error) {
	var some jsonobject.Object
	for _, one := range all {
		if !slices.Contains(members, one.Name) {
			continue
		}
		if slices.ContainsFunc(some, func(k jsonobject.Member) bool { return k.Name == one.Name }) {
			return nil, fmt.Errorf("payload has two members %q: leave one", one.Name)
		}
		some = append(some, one)
	}
	return some.Encode()
}

// members are the names in Payload.
var members = []string{
	"job", "data", "tries", "timeout", "backoff", "retry_until", "max_exceptions", "keep", "then", "catch", "parent",
	"tick", "trace",
}

// What stands around the parts of a plain payload.
const plainName, plainData = `{"job":"`, `","data":`

// plain reports whether JSON has the same text for a name.
func plain[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '\\' || c == '"' {
			return false
		}
	}
	return true
}

// parsePlain reads what nearly all payloads are, a name in plain ASCII and data, in a third of the time. Of anything else it says so.
func parsePlain(payload []byte) (p Payload, ok bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(plainName))
	if !ok {
		return p, false
	}
	end := bytes.IndexByte(rest, '"')
	if end <= 0 || !plain(rest[:end]) || !bytes.HasPrefix(rest[end:], []byte(plainData)) {
		return p, false
	}
	p.Job, rest = string(rest[:end]), rest[end+len(plainData):]
	// With other settings after the data, what stands before the last brace is no JSON value.
	if rest, p.Trace = cutTrace(rest); p.Trace == "" {
		rest, ok = bytes.CutSuffix(rest, []byte("}"))
	}
	if !ok || !json.Valid(rest) {
		return Payload{}, false
	}
	p.Data = bytes.TrimSpace(rest)
	return p, true
}

func (p *Payload) check() error { return p.checkAt(1) }

// checkAt checks a payload that stands in so many others, itself included.
func (p *Payload) checkAt(level int) error {
	switch {
	case p.Job == "":
		return errors.New(`payload has no "job": the name of the handler`)
	case p.Tries != nil && *p.Tries < 0:
		return fmt.Errorf("tries is %d: it must be 0 (no limit) or more", *p.Tries)
	case p.Timeout != nil && *p.Timeout < 0:
		return fmt.Errorf("timeout is %v: it must be 0 (no limit) or more", time.Duration(*p.Timeout))
	}
	if p.Keep != nil && *p.Keep < 0 {
		return fmt.Errorf("keep is %v: it must be 0 (not at all) or more", time.Duration(*p.Keep))
	}
	if p.Trace != "" && !p.Trace.valid() {
		return fmt.Errorf("trace is %.80q: it must be a traceparent such as %s", p.Trace, exampleTrace)
	}
	if p.MaxExceptions < 0 {
		return fmt.Errorf("max_exceptions is %d: it must be 0 (no limit) or more", p.MaxExceptions)
	}
	for _, d := range p.Backoff {
		if d < 0 {
			return fmt.Errorf("backoff has %v: it must be 0 (at once) or more", d)
		}
	}
	return p.checkNext(level)
}

func (p *Payload) encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	payload, err := p.encodeAny()
	switch {
	case err != nil || p.Then == nil && p.Catch == nil:
		return payload, err
	case len(payload) > mostNext:
		return nil, fmt.Errorf("the payload has %d bytes: with jobs in Then, Catch or a Chain it may have %d", len(payload), mostNext)
	}
	return payload, checkDepth(payload)
}

// encodeAny encodes without a check.
func (p *Payload) encodeAny() ([]byte, error) { return valid(jsonobject.Marshal(p)) }

// encodePlain is encode of what nearly all payloads are, a name in plain ASCII and data, which must be JSON without space. Of anything else
// it says so.
func (p *Payload) encodePlain() ([]byte, bool) {
	settings := p.Tries != nil || p.Timeout != nil || p.Backoff != nil || !p.RetryUntil.IsZero() || p.MaxExceptions != 0 ||
		p.Keep != nil || p.Then != nil || p.Catch != nil || p.Parent != nil || !p.Tick.IsZero()
	if settings || p.Job == "" || !plain(p.Job) || !utf8.Valid(p.Data) {
		return nil, false
	}
	payload := make([]byte, 0, len(plainName)+len(p.Job)+len(plainData)+len(p.Data)+len(plainTrace)+len(p.Trace)+len(`"}`))
	payload = append(append(payload, plainName...), p.Job...)
	payload = append(append(payload, plainData...), p.Data...)
	if p.Trace != "" {
		if !p.Trace.valid() {
			return nil, false
		}
		payload = append(append(append(payload, plainTrace...), p.Trace...), '"')
	}
	return append(payload, '}'), true
}

func valid(payload []byte, err error) ([]byte, error) {
	if err == nil && !utf8.Valid(payload) {
		return nil, errors.New("data is not valid UTF-8")
	}
	return payload, err
}

// Seconds is a duration that stands as a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON writes seconds, with a fraction if there is one.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Seconds())
}

// UnmarshalJSON reads a number of seconds, up to a hundred years either way.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var number float64
	if err := json.Unmarshal(b, &number); err != nil {
		return fmt.Errorf("%.40s is not a number of seconds", b)
	}
	if most := rule.MaxDelay.Seconds(); number > most || number < -most {
		return fmt.Errorf("%v seconds: more than a hundred years", number)
	}
	*s = Seconds(number * float64(time.Second))
	return nil
}

// Backoff is how long to wait after the first, second, … error; the last repeats. In JSON it is seconds: a number, or a list of them.
// Nil is unset.
type Backoff []time.Duration

// After returns the wait after the given attempt, which counts from 1. An empty Backoff gives 0.
func (b Backoff) After(attempt int) time.Duration {
	if len(b) == 0 {
		return 0
	}
	return b[min(max(attempt, 1), len(b))-1]
}

// MarshalJSON writes a list of seconds.
func (b Backoff) MarshalJSON() ([]byte, error) {
	seconds := make([]Seconds, len(b))
	for i, d := range b {
		seconds[i] = Seconds(d)
	}
	return json.Marshal(seconds)
}

// UnmarshalJSON reads a number of seconds, or a list of them.
func (b *Backoff) UnmarshalJSON(raw []byte) error {
	var seconds []Seconds
	if strings.HasPrefix(string(raw), "[") {
		if err := json.Unmarshal(raw, &seconds); err != nil {
			return err
		}
	} else {
		seconds = make([]Seconds, 1)
		if err := json.Unmarshal(raw, &seconds[0]); err != nil {
			return err
		}
	}
	*b = make(Backoff, len(seconds))
	for i, s := range seconds {
		(*b)[i] = time.Duration(s)
	}
	return nil
}

// Codec turns a job's data into JSON and back. The rest of the payload stays plain, so that every program can find the handler and
// the settings. It must be safe for concurrent use.
type Codec interface {
	// Marshal returns one JSON value.
	Marshal(v any) (json.RawMessage, error)

	// Unmarshal reads what Marshal wrote, or what other programs pushed, into the value that v points to.
	Unmarshal(data json.RawMessage, v any) error
}

// JSON is the default Codec: package encoding/json, without HTML escapes.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) (json.RawMessage, error)      { return jsonobject.Marshal(v) }
func (jsonCodec) Unmarshal(data json.RawMessage, v any) error { return json.Unmarshal(data, v) }
