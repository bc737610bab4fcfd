//go:build unix && !linux

package supervise

import (
	"os"
	"syscall"
	"time"
)

// CanLimitMemory says whether Command.Memory has an effect.
const CanLimitMemory = false

const lookEvery = time.Hour

func ownBinary() (string, error) { return os.Executable() }

func adoptOrphans() {}

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// kill kills a command's group, which may outlive the command.
func (s *server) kill(c *command) { _ = syscall.Kill(-c.pid, syscall.SIGKILL) }

func (s *server) killAll() {
	for _, c := range s.commands {
		s.kill(c)
	}
}

func (s *server) checkMemory() time.Duration { return 0 }
