package chaos

import (
	"bytes"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// cutAtCommit passes a COMMIT on to the server, and closes the connection before the answer can come.
const cutAtCommit = "cut_at_commit"

// hangAtRollback swallows a ROLLBACK and all that follows it, and keeps the connection open until the toxic is removed: a driver may wait
// for the answer without a time limit.
const hangAtRollback = "hang_at_rollback"

func init() {
	toxics.Register(cutAtCommit, new(commitToxic))
	toxics.Register(hangAtRollback, new(rollbackToxic))
}

type rollbackToxic struct{}

var _ toxics.CleanupToxic = (*rollbackToxic)(nil)

func (*rollbackToxic) Cleanup(stub *toxics.ToxicStub) {
	if stub.State == hangAtRollback {
		stub.Close()
	}
}

func (*rollbackToxic) Pipe(stub *toxics.ToxicStub) {
	for hung := false; ; {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			if hung = hung || bytes.Contains(bytes.ToUpper(chunk.Data), []byte("ROLLBACK")); hung {
				stub.State = hangAtRollback
			} else {
				stub.Output <- chunk
			}
		}
	}
}

type commitToxic struct{}

func (*commitToxic) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			stub.Output <- chunk
			if bytes.Contains(bytes.ToUpper(chunk.Data), []byte("COMMIT")) {
				stub.Close()
				return
			}
		}
	}
}
