package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// TestDiskFull: the server's data are on a small filesystem, which is full for a while.
func TestDiskFull(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		disk := smallDisk(t)
		if servers.OwnLike(t, s) == nil {
			t.Skip("not run: the server is not the test's own")
		}
		own := servers.OwnIn(t, s.Engine, disk)
		w := newWorld(t, place{s, own}, binaries, newRandom(t))
		w.work(3)
		w.produce(3, usual)
		w.pass(time.Second)
		q := w.open(w.dsn).Queue
		free := fill(t, disk)
		large := strings.Repeat("x", 100<<10)
		refused := false
		for i := range 30 {
			what := w.push(q, some(10, func(n int) pushJob {
				return pushJob{kind: Plain, Token: fmt.Sprintf("large-%d-%d", i, n), Text: large}
			}))
			refused = refused || what != Committed
			w.pass(100 * time.Millisecond)
		}
		free()
		if !refused {
			t.Error("all pushes found room")
		}
		own.Ensure(t)
		w.pass(time.Second)
		w.settle()
	})
}

// smallDisk mounts a filesystem in memory until the test ends. Who may not mount is told so.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sqlqueue-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400m,mode=0755"); err != nil {
		t.Skipf("not run: a small filesystem cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that there is, and from then on what is freed, until the function is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	take := func(size int) (full bool) { // blocks of a size, until there is no room for one
		block, err := make([]byte, size), error(nil)
		for err == nil {
			_, err = file.Write(block)
		}
		if full = errors.Is(err, syscall.ENOSPC); !full {
			t.Error(err)
		}
		return full
	}
	if !take(1<<20) || !take(4096) {
		t.FailNow()
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
				if !take(4096) {
					return
				}
			}
		}
	}()
	return func() {
		close(over)
		<-done
		_ = file.Close()
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}
