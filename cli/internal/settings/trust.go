package settings

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// OtherRead is the permission of every user of the host to read a file.
const OtherRead fs.FileMode = 0o004

// notTrusted says why a file that nobody has named is not used.
type notTrusted struct{ why string }

func (n *notTrusted) Error() string { return n.why }

// readNamed reads a file.
func readNamed(name string) (text []byte, mode fs.FileMode, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	return readAll(file)
}

// readFound reads a file of the working directory that nobody has named. It may say what commands to run, so the error is a *notTrusted
// when anybody but the user of this process and root may write it, or may put another in its place. What is looked at is what was opened.
func readFound(name string) (text []byte, mode fs.FileMode, err error) {
	link, err := os.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	here, err := os.OpenRoot(".")
	if err != nil {
		return nil, 0, err
	}
	defer here.Close()
	if err := trustFolder(here); err != nil {
		return nil, 0, err
	}
	folder := here
	if link.Mode()&fs.ModeSymlink != 0 {
		if why := untrusted(link, false); why != "" {
			return nil, 0, &notTrusted{"the link " + why}
		}
		path, err := filepath.EvalSymlinks(name)
		if err != nil {
			return nil, 0, err
		}
		name = filepath.Base(path)
		if folder, err = os.OpenRoot(filepath.Dir(path)); err != nil {
			return nil, 0, err
		}
		defer folder.Close()
		if err := trustFolder(folder); err != nil {
			return nil, 0, err
		}
	}
	file, err := folder.OpenFile(name, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return nil, 0, &notTrusted{"it is no ordinary file"}
	}
	if why := untrusted(info, true); why != "" {
		return nil, 0, &notTrusted{"it " + why}
	}
	return readAll(file)
}

func trustFolder(folder *os.Root) error {
	info, err := folder.Stat(".")
	if err != nil {
		return err
	}
	if why := untrusted(info, true); why != "" {
		return &notTrusted{"its folder " + why}
	}
	return nil
}

func readAll(file *os.File) (text []byte, mode fs.FileMode, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err = io.ReadAll(io.LimitReader(file, mostConfig+1))
	if err == nil && len(text) > mostConfig {
		err = fmt.Errorf("%s has more than %d MiB", file.Name(), mostConfig>>20)
	}
	return text, info.Mode(), err
}

// WarnOfReaders tells that every user of the host may read a file with something secret. Workers that a worker has started say nothing.
func WarnOfReaders(cmd *cobra.Command, name string) {
	if !supervise.Supervised() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: every user of this host can read the password or secret in %s: chmod o-r\n",
			cmd.Root().Name(), term.Printable(name))
	}
}

const mostConfig = 1 << 20 // bytes
