package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Clock starts the server again with a clock that the function sets, at once for all of its processes: so long before (negative) or after
// the machine's. It needs libfaketime. Where that is neither installed nor can be, the test is skipped, with the reason.
func (o *OwnServer) Clock(t *testing.T) (set func(off time.Duration)) {
	t.Helper()
	library, err := fakeTime()
	if err != nil {
		if err = install(t.Context(), []string{"libfaketime"}); err == nil {
			library, err = fakeTime()
		}
	}
	if err != nil {
		t.Skipf("not run: libfaketime is not installed: %v", err)
	}
	file := filepath.Join(o.dir, "clock")
	set = func(off time.Duration) {
		t.Helper()
		next := file + ".next"
		must(t, os.WriteFile(next, fmt.Appendf(nil, "%+d\n", int(off.Seconds())), 0o644)) //nolint:gosec // the server's account reads it
		must(t, os.Chmod(next, 0o644))                                                    //nolint:gosec // whatever the umask is
		must(t, os.Rename(next, file))
	}
	set(0)
	o.engine.local.serve = "env LD_PRELOAD=" + library + " FAKETIME_TIMESTAMP_FILE=" + file +
		" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 " + o.engine.local.serve
	o.Stop(t, false)
	o.Start(t)
	return set
}

// fakeTime is the path of the library, in the form for programs with threads.
func fakeTime() (string, error) {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if err == nil && len(found) == 0 {
		err = errors.New("there is no /usr/lib/*/faketime/libfaketimeMT.so.1")
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
