//go:build unix

package settings

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// dontWait keeps the opening of a pipe from waiting for a writer.
const dontWait = syscall.O_NONBLOCK

// untrusted says who else may write a file or a folder; empty: nobody. The permissions of a link mean nothing.
func untrusted(info fs.FileInfo, permissions bool) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return "has an owner that is not known"
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Sprintf("belongs to another user (%d)", stat.Uid)
	case permissions && info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("can be written by others (%v): chmod go-w", info.Mode())
	}
	return ""
}
