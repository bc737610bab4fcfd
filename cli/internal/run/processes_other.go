//go:build !unix

package run

import (
	"context"
	"errors"
)

// canRunProcesses says whether a fleet can run on this system.
const canRunProcesses = false

func (f *fleet) run(context.Context) error { return errors.New("--processes needs Unix") }
