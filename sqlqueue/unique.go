package sqlqueue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

// Pushed is the result of a push. ID is the job's id. With Duplicate nothing was pushed, and ID is that of the job that holds the unique
// key, or held it within its UniqueFor. With Replaced a waiting job was changed.
type Pushed = driver.Pushed

// TryPush is Push, but a duplicate is not an error: Pushed.Duplicate is then true. In sync mode the ID is 0.
func (q *Queue) TryPush(ctx context.Context, job Pushable, options ...PushOption) (Pushed, error) {
	all, err := q.TryPushMany(ctx, []Pushable{job}, options...)
	if len(all) == 0 {
		return Pushed{}, err
	}
	return all[0], err
}

// TryPushMany is PushMany, but duplicates are not errors. It returns a Pushed for each job, in their order; for a job on several queues,
// one for each queue.
func (q *Queue) TryPushMany(ctx context.Context, jobs []Pushable, options ...PushOption) ([]Pushed, error) {
	_, pushed, err := q.pushRows(ctx, jobs, options)
	return pushed, err
}

// uniquely is how a push is unique.
type uniquely struct {
	untilStarted bool
	replace      bool
	debounce     bool
	quiet, bound time.Duration // of debounce
	once         *time.Duration
	byData       bool
	fields       []string
}

// Unique makes the push a no-op while a job of the same queue has this key: the push then returns that job's id, and a
// *DuplicateError. A key is 1 to 191 characters, without space at either end; a job keeps it until it is deleted or has failed. It
// replaces an earlier UniqueByData.
func Unique(key string) PushOption {
	return func(p *push) { p.unique, p.uniquely.byData, p.uniquely.fields = &key, false, nil }
}

// UniqueByData is Unique with a key made of the job's name and of these members of its data, which must be an object: jobs for which they
// are equal have the same key. Numbers are equal only if they are written alike, and the order of members, here and within them, does not
// count; a member that is missing differs from null. Without fields, all of the data counts, and it may be any value. The key is
// a SHA-256 in hexadecimal, or with a Cipher its Hash, of what the Codec returns.
func UniqueByData(fields ...string) PushOption {
	return func(p *push) { p.unique, p.uniquely.byData, p.uniquely.fields = nil, true, fields }
}

// UniqueUntilStarted releases the unique key when a worker reserves the job: a push while it runs makes another job. The job does not get
// the key back if it is released or retried, or if its worker dies. It needs Unique or UniqueByData.
func UniqueUntilStarted() PushOption { return func(p *push) { p.uniquely.untilStarted = true } }

// Replace gives the job that waits with the same unique key this push's payload, priority and time, instead of answering a
// *DuplicateError, and returns its id. A job that is due stays in its place, unless this push delays it. No job is replaced once a worker
// has reserved it: the key is then free, as with UniqueUntilStarted, and the push makes another job. Of several pushes of a key in one
// call the last counts. A running job that was pushed with the same key, but without Replace, Debounce or UniqueUntilStarted, still has
// it, and makes this push a duplicate. It needs Unique or UniqueByData.
func Replace() PushOption { return func(p *push) { p.uniquely.replace = true } }

// Debounce is Replace with a delay of quiet: the job becomes available when there was no such push for that time, but most after the
// first of them at the latest; most of 0 is no bound. Once it is due, pushes give it their payload and priority, and do not make it
// wait again. Quiet must be above 0, and most not below it. It needs Unique or UniqueByData, and takes the place of Delay and At.
func Debounce(quiet, most time.Duration) PushOption {
	return func(p *push) {
		p.uniquely.debounce, p.uniquely.replace, p.uniquely.quiet, p.uniquely.bound = true, true, quiet, most
	}
}

// UniqueFor holds the unique key for d from this push on, even if the job is done, failed or cancelled sooner: until then, a push of the
// key to the same queue is a duplicate. If the job takes longer than d, it holds the key until it ends. A push that is rolled back holds
// nothing. D must be above 0. It needs Unique or UniqueByData, and cannot be combined with Replace or Debounce.
func UniqueFor(d time.Duration) PushOption { return func(p *push) { p.uniquely.once = &d } }

// key makes the key of UniqueByData.
func (u *uniquely) key(p *push, cipher Cipher) error {
	if !u.byData {
		return nil
	}
	key, err := keyOfData(p.payload.Job, p.payload.Data, u.fields, cipher)
	if err != nil {
		return fmt.Errorf("job %q: %w", p.payload.Job, err)
	}
	p.unique = &key
	return nil
}

// check says what is wrong with the options about the key.
func (u *uniquely) check(p *push) error {
	most := func(what string, d time.Duration) error {
		if d > rule.MaxDelay {
			return fmt.Errorf("%s is %v: it must be at most a hundred years", what, d)
		}
		return nil
	}
	switch {
	case p.unique == nil && (u.untilStarted || u.replace || u.once != nil):
		return errors.New("UniqueUntilStarted, Replace, Debounce and UniqueFor need a key: add Unique or UniqueByData")
	case u.once != nil && u.replace:
		return errors.New("UniqueFor does not go with Replace and Debounce: a key that is held cannot have its job replaced as well")
	case u.once != nil && *u.once <= 0:
		return fmt.Errorf("UniqueFor has %v: it must be above 0", *u.once)
	case u.once != nil:
		return most("UniqueFor", *u.once)
	case !u.debounce:
		return nil
	case u.quiet <= 0:
		return fmt.Errorf("Debounce waits %v: it must be above 0", u.quiet)
	case u.bound != 0 && u.bound < u.quiet:
		return fmt.Errorf("Debounce waits %v, but at most %v: the second must be 0 for no bound, or not below the first", u.quiet, u.bound)
	case p.delay > 0 || !p.at.IsZero():
		return errors.New("Debounce says when the job is available: leave out Delay and At")
	case p.sync:
		return errors.New("a job in sync mode cannot be debounced: it runs at once or not at all")
	}
	return errors.Join(most("the wait of Debounce", u.quiet), most("the bound of Debounce", u.bound))
}

// set gives a row its key.
func (u *uniquely) set(row *driver.NewJob, key string) {
	row.UniqueKey, row.UntilStarted, row.Replace = key, u.untilStarted || u.replace, u.replace
	if u.debounce {
		row.Debounce, row.Bound, row.Delay = true, u.bound, u.quiet
	}
	if u.once != nil {
		row.Once = *u.once
	}
}

func checkUniqueKey(key string) error {
	const says = "a unique key has 1 to 191 characters and no space at either end"
	return rule.Name("unique key", strings.ReplaceAll(key, ",", "."), says)
}

// keyOfData is the key of UniqueByData.
func keyOfData(name string, data json.RawMessage, fields []string, cipher Cipher) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // as they are written: 2^53 + 1 is not 2^53
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("UniqueByData: the data is not JSON: %w", err)
	}
	if len(fields) > 0 {
		object, ok := value.(map[string]any)
		if !ok {
			return "", fmt.Errorf("UniqueByData(%q) needs data that is an object, such as {%q: 1}", fields[0], fields[0])
		}
		for _, field := range fields {
			if field == "" {
				return "", errors.New("UniqueByData has an empty field: name members of the data, or leave them out to use all of it")
			}
		}
		found := maps.Clone(object)
		maps.DeleteFunc(found, func(name string, _ any) bool { return !slices.Contains(fields, name) })
		if len(found) == 0 {
			return "", fmt.Errorf("UniqueByData: the data has none of the members %s", strings.Join(fields, ", "))
		}
		value = found
	}
	canonical, err := json.Marshal([]any{name, value}) // members in the order of their names, numbers as they are written
	if err != nil {
		return "", err
	}
	if cipher != nil {
		return cipher.Hash(canonical), nil // a plain hash would tell those who guess the data that they are right
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}
