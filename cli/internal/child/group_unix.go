//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

func inOwnGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends a signal to the group of a process that inOwnGroup started. The group may outlive the process.
func signalGroup(leader *os.Process, s syscall.Signal) error { return syscall.Kill(-leader.Pid, s) }
