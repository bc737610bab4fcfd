package promqueue

import (
	"errors"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// pair is a queue and the name of a job, as labels.
type pair struct{ queue, name string }

// pairs keeps something for each pair that was seen, up to a limit. It is safe for concurrent use.
type pairs[T any] struct {
	create func(pair) T

	mu     sync.RWMutex
	seen   map[pair]T // by the names as they are
	queues map[string]bool
	made   map[pair]T // by the labels
}

func newPairs[T any](create func(pair) T) *pairs[T] {
	return &pairs[T]{create: create, seen: map[pair]T{}, queues: map[string]bool{}, made: map[pair]T{}}
}

// of returns what there is for a queue and a name.
func (p *pairs[T]) of(queue, name string) T {
	key := pair{queue, name}
	p.mu.RLock()
	value, ok := p.seen[key]
	p.mu.RUnlock()
	if ok {
		return value
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	label := pair{text(queueLabel(queue)), text(name)}
	if !p.queues[label.queue] {
		if len(p.queues) >= mostQueues {
			label = pair{other, other}
		} else {
			p.queues[strings.Clone(label.queue)] = true
		}
	}
	value, ok = p.made[label]
	if !ok && len(p.made) >= mostPairs {
		label = pair{label.queue, other}
		if value, ok = p.made[label]; !ok && len(p.made) >= mostPairs+mostQueues {
			label = pair{other, other}
			value, ok = p.made[label]
		}
	}
	if !ok {
		value = p.create(label)
		p.made[label] = value
	}
	if len(p.seen) < 2*mostPairs { // what comes later is looked up by its labels each time
		p.seen[pair{strings.Clone(queue), strings.Clone(name)}] = value
	}
	return value
}

// text makes a name fit for a label, which is UTF-8.
func text(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// register registers a collector, or returns the one of another worker in this process.
func register[C prometheus.Collector](to prometheus.Registerer, c C) C {
	if err := to.Register(c); err != nil {
		var already prometheus.AlreadyRegisteredError
		if errors.As(err, &already) {
			if existing, ok := already.ExistingCollector.(C); ok {
				return existing
			}
		}
		panic(err)
	}
	return c
}
