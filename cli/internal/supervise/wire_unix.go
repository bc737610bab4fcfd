//go:build unix

package supervise

import (
	"encoding/gob"
	"net"
	"slices"
	"syscall"
)

// request is what the supervisor is asked for, about the process with the number ID.
type request struct {
	ID    uint64
	Start *start // or nil
	Kill  bool
	Term  bool
	Free  bool // no more is asked about it; what it has left behind goes on
}

type start struct {
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Files  int // that come with it
	Memory int64
}

// answer tells that a process has started, has not, or has ended.
type answer struct {
	ID     uint64
	Pid    int
	Errno  syscall.Errno // why it was not started
	Ended  bool
	Denied bool   // it cannot be killed
	Status uint32 // a syscall.WaitStatus
	Memory int64  // see Exit
}

// wire carries requests and answers, and open files beside them.
type wire struct {
	conn *net.UnixConn
	enc  *gob.Encoder
	dec  *gob.Decoder
	out  []int // files that go with the next write
	in   []int // files that came, in order, and were not taken
}

func newWire(conn *net.UnixConn) *wire {
	w := &wire{conn: conn}
	w.enc, w.dec = gob.NewEncoder(w), gob.NewDecoder(w)
	return w
}

// send is for one goroutine at a time, like receive.
func (w *wire) send(message any, files ...int) error {
	w.out = files
	return w.enc.Encode(message)
}

func (w *wire) receive(message any) error { return w.dec.Decode(message) }

// take returns the next n files that came. Those of a message are there when the message is.
func (w *wire) take(n int) []int {
	n = min(n, len(w.in))
	files := w.in[:n:n]
	w.in = slices.Clone(w.in[n:])
	return files
}

// Write is gob's.
func (w *wire) Write(p []byte) (n int, err error) {
	if len(w.out) > 0 {
		rights := syscall.UnixRights(w.out...)
		w.out = nil
		if n, _, err = w.conn.WriteMsgUnix(p, rights, nil); err != nil {
			return n, err
		}
	}
	if n < len(p) {
		var rest int
		rest, err = w.conn.Write(p[n:])
		n += rest
	}
	return n, err
}

// mostFiles is how many files one read takes at most: more than those of one message.
const mostFiles = 16

// Read is gob's.
func (w *wire) Read(p []byte) (int, error) {
	rights := make([]byte, syscall.CmsgSpace(4*mostFiles))
	n, size, _, _, err := w.conn.ReadMsgUnix(p, rights)
	if size > 0 {
		w.in = append(w.in, filesOf(rights[:size])...)
	}
	return n, err
}

func filesOf(rights []byte) (files []int) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if came, err := syscall.ParseUnixRights(&m); err == nil {
			files = append(files, came...)
		}
	}
	return files
}
