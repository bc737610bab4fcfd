package servers

import (
	"os"
	"path/filepath"
	"testing"
)

// Configure starts the server again with further arguments, for sh, and files that only its account can read. They are in $DIR.
func (o *OwnServer) Configure(t *testing.T, arguments string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(o.dir, name)
		must(t, os.WriteFile(path, text, 0o600))
		if o.account != nil {
			must(t, os.Chown(path, int(o.account.Uid), int(o.account.Gid)))
		}
	}
	o.engine.local.serve += " " + arguments
	o.Stop(t, false)
	o.Start(t)
}
