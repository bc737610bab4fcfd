// Package supervise starts processes that cannot outlive this one, whatever happens to it.
//
// They are started by a small process between the two, the supervisor, which is this program's own binary: when it finds a variable in its
// environment, Become never returns. The two talk over a socket. When the socket closes, because this process has ended or was killed, the
// supervisor kills all that it has started, and ends.
//
// Each process leads a session of its own. On Linux the supervisor is also the new parent of whatever loses its parent, so that it finds
// everything that descends from a process, also what has left the process's session: by its parents, by its session, and by a variable in
// the environment that it has inherited. On other systems it finds the process's group alone, and where there is no Unix there is no
// supervisor: processes are this one's own children, and only they themselves are killed.
package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Command says what to start.
type Command struct {
	Path  string     // of the program: a name without a slash is not looked for
	Args  []string   // with the program's name
	Env   []string   // the whole environment
	Files []*os.File // what the process has open, from 0; they may be closed when it was started

	// Memory is how many bytes the process and all that descends from it may have resident, pages that they share being counted for
	// each of them. When it is more, all are killed. They are looked at about every 100 ms. 0: no limit. See CanLimitMemory.
	Memory int64
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // -1: by a signal
	Signal syscall.Signal // that ended it
	Memory int64          // not 0: it was killed because it and what descends from it had so many bytes
	Err    error          // not nil: how it ended is not known
}

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Code < 0:
		return fmt.Sprintf("killed by signal %d (%s)", e.Signal, e.Signal)
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}

// mark is the variable in the environment by which a process that has lost all else is known to descend from a command.
const mark = "SQLQUEUE_SUPERVISED"

// Supervised reports whether this process descends from one that a Supervisor has started.
func Supervised() bool { return os.Getenv(mark) != "" }

var (
	// ErrCommand is from Start when the fault is the command's own: no other machine could start it.
	ErrCommand = errors.New("the command cannot be started anywhere")

	// ErrClosed is from Start after Close, and the Err of processes that Close has killed.
	ErrClosed = errors.New("the supervisor of child processes was closed")

	// ErrSupervisor is the Err of processes whose supervisor has died. They are killed, as far as they are found: their process groups.
	ErrSupervisor = errors.New("the supervisor of child processes has died")
)
