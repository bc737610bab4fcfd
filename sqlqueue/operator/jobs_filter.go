package operator

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// State is where a job stands.
type State string

// The states.
const (
	Ready    State = "ready"    // not reserved, available
	Delayed  State = "delayed"  // not reserved, available later
	Reserved State = "reserved" // a worker has it
)

// JobFilter selects jobs. Conditions left at their zero value do not restrict.
type JobFilter struct {
	IDs           []int64 // at most 1,000
	Queue         string
	State         State
	NotReserved   bool
	Name          string        // the handler's name in the payload
	Fields        []Field       // of the payload's data; each must be there
	OlderThan     time.Duration // pushed at least so long ago
	CreatedAfter  time.Time     // inclusive
	CreatedBefore time.Time     // exclusive
	After         int64         // only ids greater than this: the last id of the page before
	Until         int64         // only ids up to this: see Operator.Window
	Limit         int           // default 100, at most 1,000
	Newest        bool          // of Operator.Jobs: by descending id; a page then begins with Until, one less than the last id before

	// PayloadMax cuts the payloads that Jobs returns to so many characters: what is left of a longer one is no JSON. 0: they are whole.
	PayloadMax int
}

// Field is a condition on the data of a job: the value at the path of keys of objects, as text, is Value. The text of a string is the
// string itself, that of a number, true, false or null its JSON; that of an object or an array is different from database to database. Of
// members of the same name the last counts, as it does for encoding/json.
type Field struct {
	Path  []string // at least one key, none empty
	Value string
}

// StateOf returns where a job stands now.
func StateOf(j Job, now time.Time) State {
	switch {
	case j.Reserved:
		return Reserved
	case j.AvailableAt.After(now):
		return Delayed
	}
	return Ready
}

func (f *JobFilter) check() error {
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return err
	}
	switch f.State {
	case "", Ready, Delayed, Reserved:
	default:
		return fmt.Errorf("unknown state %q: use ready, delayed or reserved", f.State)
	}
	if f.PayloadMax < 0 {
		return fmt.Errorf("payloads of %d characters: it must be at least 1, or 0 for no limit", f.PayloadMax)
	}
	for _, field := range f.Fields {
		if len(field.Path) == 0 {
			return errors.New("a condition on a field of the data has no key")
		}
		for _, key := range field.Path {
			if key == "" || strings.ContainsAny(key, "\"\\\x00") || !utf8.ValidString(key) {
				return fmt.Errorf("the key %q of a field of the data is not valid: it must not be empty or contain a quote or a backslash",
					key)
			}
		}
	}
	return nil
}
