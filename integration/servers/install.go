package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

const installTimeout = 10 * time.Minute

// installScript installs the Debian packages in its arguments and keeps their services from being started: policy-rc.d is what
// the packages ask. It runs as root.
const installScript = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
	trap 'exit 1' INT TERM HUP
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update || echo "apt-get update failed: going on with the lists that are there"
apt-get -qy install --no-install-recommends "$@"
`

var installing sync.Mutex // apt-get refuses to run twice at once

// Install installs Debian packages that tests need beside servers, as servers themselves are installed. It is safe for concurrent use.
func Install(ctx context.Context, packages []string) error { return install(ctx, packages) }

// install installs packages on Debian, as root or by a sudo that asks for no password. Where that cannot be it is a notHereError.
func install(ctx context.Context, packages []string) error {
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return notHere("this is not Debian")
	}
	command := []string{"sh", "-c", installScript, "sh"}
	if os.Geteuid() != 0 {
		if err := exec.CommandContext(ctx, "sudo", "-n", "true").Run(); err != nil {
			return notHere("neither root nor a sudo without password")
		}
		command = append([]string{"sudo", "-n"}, command...)
	}
	installing.Lock()
	defer installing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	progress.Printf("installing %v with apt-get", packages)
	command = append(command, packages...)
	var log tail
	apt := exec.CommandContext(ctx, command[0], command[1:]...)
	apt.Stdout, apt.Stderr = &log, &log
	if err := apt.Run(); err != nil {
		return fmt.Errorf("apt-get: %w: %s", err, log.String())
	}
	return nil
}

// Tool returns the path of a program that is no database server, which a Debian package has. It is installed as the servers are: where
// that cannot be, the test fails.
func Tool(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if err := install(tb.Context(), []string{debian}); err != nil {
		tb.Fatalf("%s is needed (Debian's package %s): %v", name, debian, err)
	}
	if path, err = exec.LookPath(name); err != nil {
		tb.Fatal(err)
	}
	return path
}
