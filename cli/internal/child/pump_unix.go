//go:build unix

package child

import "syscall"

// read passes on what has been printed, all of one read. With wait it waits for some. It returns false at the end, and without wait when
// there is nothing.
//
// It reads beside the File's own Read, whose lock is held while it waits, so that one goroutine can empty the pipe while another waits.
func (p *pump) read(wait bool) bool {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return false
	}
	more := false
	once := func(fd uintptr) (done bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for {
			n, err := syscall.Read(int(fd), p.buffer[:])
			switch {
			case err == syscall.EINTR:
				continue
			case n > 0:
				p.add(p.buffer[:n])
				more = true
			}
			return err != syscall.EAGAIN
		}
	}
	if wait {
		err = conn.Read(once)
	} else {
		err = conn.Control(func(fd uintptr) { once(fd) })
	}
	return more && err == nil
}
