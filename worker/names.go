package worker

import (
	"cmp"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// names are how jobs of each name have ended, as far as that is not written yet. A beat writes them (presence.go), together with the
// counts. A worker counts the first driver.NamesMost pairs of queue and name that it sees, and all others together.
//
// It is used only by the goroutine of Run.
type names struct {
	of    map[nameKey]*driver.NameCount
	known map[nameKey]bool // without a minute
	last  *driver.NameCount
	key   nameKey // of last
}

type nameKey struct {
	queue, name string
	minute      int64
}

// ended counts a run that has ended, at now by the database's clock, after its job had waited for some time.
func (n *names) ended(r *run, waited time.Duration, now time.Time) {
	var to *driver.NameCount
	switch cmp.Or(r.verdict.instead, r.verdict.kind) {
	case processed, discarded:
		to = n.at(r, now)
		to.Done++
	case failed:
		to = n.at(r, now)
		to.Failed++
	case released:
		to = n.at(r, now)
		to.Released++
	case snoozed, throttled, kept, unknown, noKey, dropped, unstarted, neverBegan, kinds:
		return
	}
	if r.starts {
		to.Run.Add(r.took)
		to.Wait.Add(waited)
	}
}

func (n *names) at(r *run, now time.Time) *driver.NameCount {
	name := r.info.Name
	if len(name) > driver.NameMost {
		name = start(name, driver.NameMost)
	}
	key := nameKey{driver.FirstLevel(r.info.Queue), name, now.Unix() / 60}
	if n.last != nil && n.key == key {
		return n.last
	}
	n.key, n.last = key, n.find(key)
	return n.last
}

func (n *names) find(key nameKey) *driver.NameCount {
	of := n.of[key]
	if of != nil {
		return of
	}
	pair := nameKey{queue: key.queue, name: key.name}
	if !n.known[pair] {
		if len(n.known) >= driver.NamesMost {
			if key.name == "" && key.queue == "" {
				return n.add(key, "")
			}
			return n.find(nameKey{minute: key.minute})
		}
		if n.known == nil {
			n.known = map[nameKey]bool{}
		}
		n.known[nameKey{queue: strings.Clone(key.queue), name: strings.Clone(key.name)}] = true
	}
	return n.add(key, clean(key.name, maxError))
}

func (n *names) add(key nameKey, name string) *driver.NameCount {
	if n.of == nil {
		n.of = map[nameKey]*driver.NameCount{}
	}
	of := &driver.NameCount{Minute: time.Unix(key.minute*60, 0).UTC(), Queue: key.queue, Name: name}
	n.of[key] = of
	return of
}

// take moves what is to be written into a beat.
func (n *names) take(b *driver.Beat) {
	for _, of := range n.of {
		b.Names = append(b.Names, of)
	}
	n.of, n.last = nil, nil
}

// restore takes back what a beat has not written.
func (n *names) restore(b driver.Beat) {
	for _, of := range b.Names {
		n.find(nameKey{of.Queue, of.Name, of.Minute.Unix() / 60}).Add(of)
	}
}
