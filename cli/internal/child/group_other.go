//go:build !unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

// Without process groups, only the command itself is killed, and at once: there is no TERM.

func inOwnGroup(*exec.Cmd) {}

func signalGroup(leader *os.Process, _ syscall.Signal) error { return leader.Kill() }
