package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var _ driver.Listener = (*store)(nil)

// $1 channel, $2 queues.
const notifySQL = `SELECT pg_notify($1, q) FROM unnest($2::text[]) AS q`

// Listen is that of sqlqueue.Listener, by LISTEN on a connection of its own. First it tries whether it hears what another connection says:
// behind pgbouncer in transaction mode it does not.
func (s *store) Listen(ctx context.Context, queues []string, heard func()) error {
	if s.pool == nil {
		return errors.ErrUnsupported
	}
	conn, err := s.connectToListen(ctx)
	if err != nil {
		return translate(err)
	}
	defer closeSoon(ctx, conn)
	if err := s.tryHearing(ctx, conn); err != nil {
		return err
	}
	for heard(); ; {
		said, err := conn.WaitForNotification(ctx)
		if err != nil {
			return translate(err)
		}
		if slices.Contains(queues, said.Payload) {
			heard()
		}
	}
}

// connectToListen makes a connection that listens, or gives up after a while: a server may take connections and say nothing.
func (s *store) connectToListen(ctx context.Context) (*pgx.Conn, error) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := s.pool.Config()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.notifier.channel}.Sanitize()); err != nil {
		closeSoon(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// closeSoon closes a connection also when ctx has ended, and does not wait long for a server that does not answer.
func closeSoon(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// tryHearing says something on another connection, and waits until it is heard.
func (s *store) tryHearing(ctx context.Context, conn *pgx.Conn) error {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("LISTEN does not hear NOTIFY: is there a pgbouncer in transaction mode?"))
	defer cancel()
	word := fmt.Sprintf("hears? %d", conn.PgConn().PID()) // no name of a queue has a question mark and a space at its end
	for {
		if _, err := s.pool.Exec(ctx, notifySQL, s.notifier.channel, []string{word}); err != nil {
			return translate(err)
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

// A process tells of pushes to a queue once in notifyEvery, because a notification takes a lock of the whole server at its commit. So many more
// may come at once, after a time with fewer: pushes that come close together, and seldom, are each told of without delay.
const (
	notifyEvery = 5 * time.Millisecond
	notifyBurst = 10
)

// notifier tells of pushes: of as many as it may at once, in their own transactions, and of those that come then together, at the end of a
// time. It is safe for concurrent use.
type notifier struct {
	channel string

	mu      sync.Mutex
	even    map[string]time.Time // by queue, from when on one in notifyEvery would be as many as there were
	kept    int                  // how many of these were needed when they were looked through last
	pending map[string]bool      // queues that a timer will tell of
}

func newNotifier(prefix string) *notifier {
	return &notifier{channel: prefix + "sqlqueue", even: map[string]time.Time{}, pending: map[string]bool{}}
}

// soon is which delayed jobs are told of. A worker learns of others in time, because it asks every second when the next is due.
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

// due returns those of the queues that are to be told of now, which the caller does, and leaves the others for later.
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

// wait is how long it takes until a queue may be told of. It is called with mu locked.
func (n *notifier) wait(queue string) time.Duration {
	return time.Until(n.even[queue].Add(-(notifyBurst - 1) * notifyEvery))
}

// note counts a notification. It is called with mu locked. A queue that may be told of at once needs no entry, so the entries are those of
// the last moment, however many queues there are.
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

// later tells of the queues when the time has come. What was committed before that is told of.
//
//nolint:contextcheck // the push has returned by then
func (n *notifier) later(pool *pgxpool.Pool, queues []string) {
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
			_, _ = pool.Exec(ctx, notifySQL, n.channel, []string{queue}) // workers look by themselves, too
		})
	}
}
