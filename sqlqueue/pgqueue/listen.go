package pgqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

var _ driver.Listener = (*store)(nil)

// $1 channel, $2 queues.
const notifySQL = `SELECT pg_notify($1, q) FROM unnest($2::text[]) AS q`

// Listen implements driver.Listener, with LISTEN on one connection for all that listen at the same time.
func (s *store) Listen(ctx context.Context, queues []string, heard func()) error {
	if s.pool == nil {
		return errors.ErrUnsupported
	}
	h := &member{queues, heard}
	on := s.listeners.join(ctx, s, h)
	defer s.listeners.leave(on, h)
	select {
	case <-on.done:
		return on.err
	case <-ctx.Done():
		return translate(context.Cause(ctx))
	}
}

// listeners is what listens for a store. It is safe for concurrent use.
type listeners struct {
	mu  sync.Mutex
	now *listening // nil: nobody listens
}

// listening is one connection that listens.
type listening struct {
	members []*member
	hears   bool
	end     context.CancelFunc
	done    chan struct{} // closed when it has ended
	err     error         // when done: why
}

type member struct {
	queues []string
	heard  func()
}

// join adds who wants to hear, and begins to listen if nobody does.
func (e *listeners) join(ctx context.Context, s *store, h *member) *listening {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now == nil {
		ctx, end := context.WithCancel(context.WithoutCancel(ctx))
		on := &listening{end: end, done: make(chan struct{})}
		e.now = on
		go func() {
			defer close(on.done)
			defer end()
			on.err = s.listen(ctx, on)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.ended(on)
		}()
	}
	e.now.members = append(e.now.members, h)
	if e.now.hears {
		h.heard()
	}
	return e.now
}

// leave ends the listening, and waits for that, if nobody wants to hear any more.
func (e *listeners) leave(on *listening, h *member) {
	e.mu.Lock()
	on.members = slices.DeleteFunc(on.members, func(other *member) bool { return other == h })
	last := len(on.members) == 0
	if last {
		e.ended(on)
		on.end()
	}
	e.mu.Unlock()
	if last {
		<-on.done
	}
}

// ended lets the next one listen anew. It is called with mu locked.
func (e *listeners) ended(on *listening) {
	if e.now == on {
		e.now = nil
	}
}

// tell calls those who want to hear of a queue, after first; without a queue it calls all.
func (e *listeners) tell(on *listening, queue string, first func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	on.hears = true
	for _, h := range on.members {
		if queue == "" || slices.ContainsFunc(h.queues, func(of string) bool { return of == queue || driver.InPattern(of, queue) }) {
			first()
			h.heard()
		}
	}
}

// listen listens until ctx ends. First it tests whether notifications of another connection arrive: behind pgbouncer in transaction mode
// they do not.
func (s *store) listen(ctx context.Context, on *listening) error {
	conn, err := s.connectToListen(ctx)
	if err != nil {
		return translate(err)
	}
	defer closeSoon(ctx, conn)
	if err := s.tryHearing(ctx, conn); err != nil {
		return err
	}
	for s.listeners.tell(on, "", func() {}); ; {
		said, err := conn.WaitForNotification(ctx)
		if err != nil {
			return translate(err)
		}
		s.listeners.tell(on, said.Payload, func() { // before a worker looks
			s.turns.Learn(said.Payload)
			s.places.Pushed(lane.Lane{Queue: said.Payload, Priority: math.MaxInt16})
		})
	}
}

// connectToListen makes a connection that listens. It gives up after a while, because a server may accept connections and never answer.
func (s *store) connectToListen(ctx context.Context) (*pgx.Conn, error) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config, err := s.pool.ConnConfig(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.notifier.channel}.Sanitize()); err != nil {
		closeSoon(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// closeSoon closes a connection even if ctx has ended, and does not wait long for a server that does not answer.
func closeSoon(ctx context.Context, conn interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// tryHearing sends a notification on another connection, and waits until it arrives.
func (s *store) tryHearing(ctx context.Context, conn *pgx.Conn) error {
	const patience = 3 * time.Second
	unheard := errors.New("LISTEN gets no notifications: is there a pgbouncer in transaction mode?")
	ctx, cancel := context.WithTimeoutCause(ctx, patience, unheard)
	defer cancel()
	word := fmt.Sprintf("hears? %d", conn.PgConn().PID()) // no name of a queue has a question mark and a space at its end
	for {
		if _, err := s.DB.Exec(ctx, notifySQL, s.notifier.channel, []string{word}); err != nil {
			return err
		}
		said, err := conn.WaitForNotification(ctx)
		if err != nil {
			return errors.Join(context.Cause(ctx), translate(err))
		}
		if said.Payload == word {
			return nil
		}
	}
}

// A process sends one notification of a queue in notifyEvery, because a transaction that notifies takes a lock of the whole server when it
// commits. After a quiet time it may send notifyBurst at once, so that none of a few pushes close together has to wait.
const (
	notifyEvery = 5 * time.Millisecond
	notifyBurst = 10
)

// notifier limits the notifications of pushes. As many as are allowed go out at once, in the transactions of the pushes; one timer sends a
// single notification for those that come after. It is safe for concurrent use.
type notifier struct {
	channel string

	mu      sync.Mutex
	even    map[string]time.Time // by queue, the time at which the notifications so far would have been one in each notifyEvery
	kept    int                  // how many entries even had after it was last cleaned
	pending map[string]bool      // queues for which a timer runs
}

func newNotifier(schema, prefix string) *notifier {
	return &notifier{channel: channelOf(schema, prefix), even: map[string]time.Time{}, pending: map[string]bool{}}
}

// channelOf names the channel of the notifications. The server takes names of at most 63 bytes.
func channelOf(schema, prefix string) string {
	channel := prefix + "sqlqueue"
	if schema != "" {
		channel = schema + "." + channel
	}
	const longest = 63
	if len(channel) > longest {
		sum := sha256.Sum256([]byte(channel))
		channel = "sqlqueue." + hex.EncodeToString(sum[:16])
	}
	return channel
}

// soon bounds the delay of jobs that are notified of. A worker learns of the others in time: every second it asks when the next is due.
const soon = time.Second

// queuesOf lists the queues with jobs that are available soon.
func queuesOf(jobs []driver.NewJob) []string {
	var queues []string
	for i := range jobs {
		later := jobs[i].Delay >= soon || !jobs[i].At.IsZero() && time.Until(jobs[i].At) >= soon
		if !later && !slices.Contains(queues, jobs[i].Queue) {
			queues = append(queues, jobs[i].Queue)
		}
	}
	return queues
}

// due returns the queues of which the caller is to notify now, and those for which it is to call later.
func (n *notifier) due(queues []string) (now, later []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, queue := range queues {
		if n.pending[queue] || n.wait(queue) > 0 {
			later = append(later, queue)
			continue
		}
		n.note(queue)
		now = append(now, queue)
	}
	return now, later
}

// wait is how long it takes until the next notification of a queue is allowed. It is called with mu locked.
func (n *notifier) wait(queue string) time.Duration {
	return time.Until(n.even[queue].Add(-(notifyBurst - 1) * notifyEvery))
}

// note counts a notification. It is called with mu locked. Entries of the past are not needed, so that there are few, however many queues
// there are.
func (n *notifier) note(queue string) {
	from := time.Now()
	const many = 1000
	if len(n.even) >= max(many, 2*n.kept) {
		maps.DeleteFunc(n.even, func(_ string, even time.Time) bool { return even.Before(from) })
		n.kept = len(n.even)
	}
	if even := n.even[queue]; even.After(from) {
		from = even
	}
	n.even[queue] = from.Add(notifyEvery)
}

// later notifies of the queues as soon as that is allowed, of all that was committed until then.
//
//nolint:contextcheck // the push has returned by then
func (n *notifier) later(db sqldb.DB, queues []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, queue := range queues {
		if n.pending[queue] {
			continue
		}
		n.pending[queue] = true
		time.AfterFunc(n.wait(queue), func() {
			n.mu.Lock()
			n.note(queue)
			delete(n.pending, queue)
			n.mu.Unlock()
			const patience = 5 * time.Second
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, _ = db.Exec(ctx, notifySQL, n.channel, []string{queue}) // workers look by themselves, too
		})
	}
}
