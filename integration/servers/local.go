package servers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const localStartTimeout = time.Minute

// startLocal starts the installed server of e, after installing it if it is not there and can be had.
func startLocal(ctx context.Context, e engine, _ settings) ([]*Server, error) {
	way := wayLocal
	dirs, err := e.installed(ctx)
	if isNotHere(err) && e.local.packages != nil {
		if installError := install(ctx, e.local.packages); installError != nil {
			return nil, fmt.Errorf("%w and cannot be installed: %w", err, installError)
		}
		way = "local (installed by apt-get)"
		dirs, err = e.installed(ctx)
	}
	if err != nil {
		return nil, err
	}
	progress.Printf("%s: starting %s", e.name, filepath.Join(dirs[0], e.local.programs[0]))
	ctx, cancel := context.WithTimeout(ctx, localStartTimeout)
	defer cancel()
	s, err := e.startPrivate(ctx, dirs)
	for err != nil && strings.Contains(strings.ToLower(err.Error()), "address already in use") {
		s, err = e.startPrivate(ctx, dirs)
	}
	if err != nil {
		return nil, err
	}
	s.Way = way + ": " + filepath.Join(dirs[0], e.local.programs[0])
	return []*Server{s}, nil
}

// installed returns the directories in which the engine's programs are found, the server's first.
func (e engine) installed(ctx context.Context) (dirs []string, err error) {
	search := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range e.local.dirs {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, newestFirst)
		search = append(search, found...)
	}
	for _, program := range e.local.programs {
		i := slices.IndexFunc(search, func(dir string) bool {
			_, err := exec.LookPath(filepath.Join(dir, program))
			return err == nil
		})
		if i < 0 {
			return nil, notHere("%s is not installed", program)
		}
		dirs = append(dirs, search[i])
	}
	if e.notInVersion != "" {
		server := filepath.Join(dirs[0], e.local.programs[0])
		version, err := exec.CommandContext(ctx, server, "--version").Output()
		if err != nil {
			return nil, fmt.Errorf("%s --version: %w", server, err)
		}
		if strings.Contains(string(version), e.notInVersion) {
			return nil, notHere("%s is not installed (%s is %s)", e.name, server, e.notInVersion)
		}
	}
	return dirs, nil
}

// newestFirst orders directories whose names hold a major version.
func newestFirst(a, b string) int {
	major := func(dir string) int {
		n, _ := strconv.Atoi(versionNumber(dir))
		return n
	}
	return cmp.Compare(major(b), major(a))
}

// startPrivate starts a server of its own in a temporary directory, on a port of the loopback interface.
func (e engine) startPrivate(ctx context.Context, dirs []string) (*Server, error) {
	account, err := e.local.runAs()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sqlqueue-"+e.name+"-")
	if err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	password := rand.Text()
	server, err := superviseServer(ctx, account, []string{
		"PATH=" + strings.Join(dirs, ":") + ":" + os.Getenv("PATH"),
		"DIR=" + dir,
		"TMPDIR=" + dir, // a MariaDB that starts deletes the temporary tables that it finds, also those of another one
		"PORT=" + port,
		"PASSWORD=" + password,
		"PREPARE=" + e.local.prepare,
		"SERVE=" + e.local.serve,
		"STOP=" + e.local.stop,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := connect(ctx, e, e.address(net.JoinHostPort("127.0.0.1", port), password), server.ended)
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	s.stop = server.stop
	return s, nil
}

// runAs is the account that servers must run as, because they refuse to run as root; nil is the account of the process.
func (l local) runAs() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup(l.account)
	if err != nil {
		return nil, fmt.Errorf("no account to run the server as: %w", err)
	}
	uid, uidError := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidError := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidError, gidError); err != nil {
		return nil, fmt.Errorf("account %s: %w", l.account, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// freePort returns a port that was free a moment ago.
func freePort(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
