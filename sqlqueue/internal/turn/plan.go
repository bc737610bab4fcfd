package turn

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// Plan is from which queues one exchange takes jobs.
type Plan struct {
	Reserve []driver.Reserve // exact queues, in turn

	turns *Turns
	asked []driver.Reserve
	limit int
	ahead int
	all   bool           // it has every queue
	more  bool           // there are queues that were not asked
	place map[string]int // by queue: where it, or its pattern, stands in asked
	share map[string]int // by queue: how many jobs it gives in this turn
	next  time.Duration  // until a queue opens again; 0: none does

	keys  map[string][]key         // by queue: its limits
	left  map[string]int           // by name of a limit: how many jobs it lets through
	taken map[string]int           // by name of a limit: how many jobs were taken
	tat   map[string]int64         // by name of a limit: as it stands in the table
	now   int64                    // the database's clock, in microseconds since 1970
	held  map[string]time.Duration // by queue that a limit holds back: until it may be tried again
}

func (p *Plan) wait(d time.Duration) {
	if d = max(d, time.Millisecond); p.next == 0 || d < p.next {
		p.next = d
	}
}

// Limited reports whether any of the queues has a limit.
func (p *Plan) Limited() bool {
	return p != nil && len(p.names()) > 0
}

// Sort puts lanes in order: as asked, and in a pattern by priority, then in turn.
func (p *Plan) Sort(lanes []lane.Lane) []lane.Lane {
	if p != nil {
		slices.SortStableFunc(lanes, func(a, b lane.Lane) int {
			return cmp.Or(cmp.Compare(p.place[a.Queue], p.place[b.Queue]), cmp.Compare(a.Priority, b.Priority))
		})
	}
	return lanes
}

// Name returns the pattern that a queue was asked for by, or the queue itself.
func (p *Plan) Name(queue string) string {
	if p == nil {
		return queue
	}
	return p.asked[p.place[queue]].Queue
}

// Left is how many jobs a queue may still give.
func (p *Plan) Left(queue string) int {
	if p == nil {
		return 1 << 30
	}
	n := p.share[queue]
	for _, k := range p.keys[queue] {
		n = min(n, p.left[k.name])
	}
	if len(p.keys[queue]) > 0 {
		n = min(n, p.limit-p.ahead-p.taken[""])
	}
	return max(n, 0)
}

// Took notes that a queue has given so many jobs.
func (p *Plan) Took(queue string, n int) {
	if p == nil || n == 0 {
		return
	}
	p.share[queue] -= n
	for _, k := range p.keys[queue] {
		p.left[k.name] -= n
		p.taken[k.name] += n
	}
	if len(p.keys[queue]) > 0 {
		p.taken[""] += n
	}
}

// Parents are the rows of job_queues, beside the queue's own and that of all, whose pause holds for a queue: the patterns that have it.
func Parents(queue string) []string {
	var parents []string
	for i, c := range queue {
		if c == '/' {
			parents = append(parents, queue[:i]+"/*")
		}
	}
	return parents
}

// Stopping are the names of all rows of job_queues whose pause holds for one of the queues.
func (p *Plan) Stopping() []string {
	var names []string
	for _, r := range p.Reserve {
		names = append(append(names, r.Queue), Parents(r.Queue)...)
	}
	for _, r := range p.asked {
		names = append(names, r.Queue)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Controls are what operators have said of the queues of the lanes that an exchange asks, and, as said, of those that it asked for by name.
// Read reads the rows of job_queues of the names; the empty one is all queues.
func (p *Plan) Controls(
	known *lane.Controls, asked []string, part *lane.Part, now time.Time, read func(names []string) ([]driver.Control, error),
) (all, said []driver.Control, err error) {
	said, recent := known.Recent(asked, now)
	names := []string{""}
	if !recent {
		names = append(names, asked...)
	}
	for _, queue := range part.Queues() {
		names = append(names, queue)
		if p != nil {
			names = append(names, Parents(queue)...)
		}
	}
	slices.Sort(names)
	if all, err = read(slices.Compact(names)); err == nil && !recent {
		said = p.askedOf(all)
		known.Note(asked, said, now)
	}
	return all, said, err
}

// askedOf leaves the controls of what the exchange asked for.
func (p *Plan) askedOf(controls []driver.Control) []driver.Control {
	if p == nil {
		return controls
	}
	return slices.DeleteFunc(slices.Clone(controls), func(c driver.Control) bool {
		return c.Queue != "" && !slices.ContainsFunc(p.asked, func(r driver.Reserve) bool { return r.Queue == c.Queue })
	})
}

// ParentsOf are those of each lane, with commas between them.
func ParentsOf(lanes []lane.Lane) []string {
	all := make([]string, len(lanes))
	for i, l := range lanes {
		all[i] = strings.Join(Parents(l.Queue), ",")
	}
	return all
}
