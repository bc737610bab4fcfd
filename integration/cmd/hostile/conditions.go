package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/clock"
)

// condition is a place where tests should pass as well as anywhere.
type condition struct {
	name    string
	prepare func(*run) error
}

var conditions = []condition{
	{"a day later", at(func(now time.Time) time.Time { return now.AddDate(0, 0, 1) })},
	{"a year later", at(func(now time.Time) time.Time { return now.AddDate(1, 0, 0) })},
	{"29 February", at(leapDay)},
	{"the end of the year", at(func(now time.Time) time.Time { // in each package's tests
		return time.Date(now.Year(), time.December, 31, 23, 59, 30, 0, time.UTC)
	}, "TZ=UTC")},
	{"the clocks go forward", at(func(now time.Time) time.Time { // it was half a minute before two o'clock
		return change(now, true).Add(-30 * time.Second)
	}, "TZ=America/New_York")},
	{"the clocks go back", at(func(now time.Time) time.Time {
		return change(now, false).Add(-30 * time.Second)
	}, "TZ=America/New_York")},
	{"Shanghai", environment("TZ=Asia/Shanghai")},
	{"New York", environment("TZ=America/New_York")},
	{"one core", environment("GOMAXPROCS=1")},
	{"a busy machine", busy},
	{"shuffled, three times", func(r *run) error {
		r.flags = []string{"-shuffle=on", "-count=3"}
		return nil
	}},
	{"a strange environment", elsewhere},
}

func environment(variables ...string) func(*run) error {
	return func(r *run) error {
		r.env = variables
		return nil
	}
}

// at has the tests of each package begin at a time, in an environment.
func at(when func(now time.Time) time.Time, variables ...string) func(*run) error {
	return func(r *run) error {
		dir, err := r.temporary("sqlqueue-clock-")
		if err != nil {
			return err
		}
		overlay, err := clock.Overlay(r, dir, 0)
		if err != nil {
			return err
		}
		r.env = variables
		// A child has its parent's clock, so the variable is set once, where a test's binary is started. Building goes by the real time.
		script := fmt.Sprintf(`%s=$((%d - $(date +%%s))) exec "$@"`, clock.Variable, when(time.Now()).Unix())
		r.flags = []string{"-overlay", overlay, "-exec", "sh -c '" + script + "' sh"}
		return nil
	}
}

// leapDay is noon on the next 29 February.
func leapDay(now time.Time) time.Time {
	for year := now.Year(); ; year++ {
		day := time.Date(year, time.February, 29, 12, 0, 0, 0, time.UTC)
		if day.Month() == time.February && day.After(now) {
			return day
		}
	}
}

// change is the next hour at which the clocks of New York change, forward or back.
func change(now time.Time, forward bool) time.Time {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	hour := now.Truncate(time.Hour)
	for {
		next := hour.Add(time.Hour)
		_, before := hour.In(zone).Zone()
		_, after := next.In(zone).Zone()
		if forward && after > before || !forward && after < before {
			return next
		}
		hour = next
	}
}

// busy has the tests run with the lowest priority beside four busy loops for each core. The loops are threads of this process, so that they
// end with it, whatever ends it.
func busy(r *run) error {
	const perCore = 4
	ctx, cancel := context.WithCancel(r)
	loops := perCore * runtime.NumCPU()
	was := runtime.GOMAXPROCS(loops + runtime.NumCPU())
	for range loops {
		go func() {
			for ctx.Err() == nil { //nolint:revive // it is to be busy
			}
		}()
	}
	r.ends = append(r.ends, func() error {
		cancel()
		runtime.GOMAXPROCS(was)
		return nil
	})
	r.wrapper = []string{"nice", "-n", "19"}
	return nil
}

// elsewhere has the tests run in a checkout in a path with spaces, with the environment of somebody who uses sqlqueue and PostgreSQL and
// has an own language, with a umask that gives others nothing and a HOME that cannot be written, by a user other than root.
func elsewhere(r *run) error {
	parent, err := r.temporary("sqlqueue hostile ")
	if err != nil {
		return err
	}
	checkout, home, caches := filepath.Join(parent, "my checkout"), filepath.Join(parent, "home"), filepath.Join(parent, "caches")
	if err := copyCheckout(r, r.dir, checkout); err != nil {
		return err
	}
	for _, dir := range []string{home, caches} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := modules(r, r.dir, filepath.Join(caches, "modules")); err != nil {
		return err
	}
	r.dir = checkout
	if os.Geteuid() == 0 {
		if r.account, err = nobody(); err != nil {
			return err
		}
		for _, dir := range []string{checkout, caches} {
			if err := give(dir, r.account); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(os.Chmod(parent, 0o755), os.Chmod(home, 0o555)); err != nil {
		return err
	}
	r.env = []string{
		"HOME=" + home, "GOENV=off", "GOFLAGS=-buildvcs=false", "GOPATH=" + filepath.Join(caches, "go"),
		"GOMODCACHE=" + filepath.Join(caches, "modules"), "GOCACHE=" + filepath.Join(caches, "build"),
		"SQLQUEUE_DSN=postgres://nobody:wrong@127.0.0.1:1/nothing", "SQLQUEUE_PREFIX=odd_", "SQLQUEUE_QUEUE=odd", "SQLQUEUE_CONCURRENCY=1",
		"PGHOST=127.0.0.1", "PGPORT=1", "PGUSER=nobody", "PGPASSWORD=wrong", "PGDATABASE=nothing", "PGTZ=Asia/Kathmandu",
		"PGSSLMODE=require", "MYSQL_PWD=wrong", "NO_COLOR=1", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "TERM=dumb", "COLUMNS=20",
		"LINES=3", "EDITOR=false", "PAGER=false",
	}
	r.wrapper = []string{"sh", "-c", `umask 077; exec "$@"`, "sh"}
	return nil
}

// copyCheckout copies what git knows or would add, or everything where there is no git.
func copyCheckout(ctx context.Context, from, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return os.CopyFS(to, os.DirFS(from))
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		source := filepath.Join(from, name)
		info, err := os.Stat(source)
		if errors.Is(err, fs.ErrNotExist) { // deleted, and not yet committed
			continue
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, text, info.Mode().Perm())); err != nil {
			return err
		}
	}
	return nil
}

// modules puts what the module needs into a module cache, from the one that there is.
func modules(ctx context.Context, dir, cache string) error {
	have, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return err
	}
	here, proxy, _ := strings.Cut(strings.TrimSpace(string(have)), "\n")
	download := exec.CommandContext(ctx, "go", "mod", "download")
	download.Dir = dir
	download.Env = append(os.Environ(), "GOMODCACHE="+cache, "GOPROXY=file://"+filepath.ToSlash(here)+"/cache/download,"+proxy)
	if output, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod download: %w: %s", err, output)
	}
	return nil
}

// nobody is the account of the user nobody.
func nobody() (*syscall.Credential, error) {
	account, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, uidError := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidError := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidError, gidError)
}

// give gives a directory and all that is in it to an account.
func give(dir string, account *syscall.Credential) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(account.Uid), int(account.Gid)))
	})
}

// removeAll removes a directory, also with a module cache in it, which is read-only.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
